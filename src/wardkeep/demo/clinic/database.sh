# db-1: PostgreSQL as Debian runs it, which listens to the whole network.
version=$(ls /usr/lib/postgresql)
folder=/etc/postgresql/$version/main
pg_createcluster "$version" main >/dev/null
printf "listen_addresses = '*'\nfsync = off\n" >"$folder/conf.d/clinic.conf"
cat >"$folder/pg_hba.conf" <<'C'
local all postgres peer
host clinic portal 10.0.0.0/8 scram-sha-256
host clinic reporting 10.0.0.0/8 trust
C
pg_ctlcluster "$version" main start
