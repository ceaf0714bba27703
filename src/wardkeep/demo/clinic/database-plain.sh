# db-1 without systemd: this machine's PostgreSQL programs on a folder of the host's own.
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
install -d -m 700 -o postgres -g postgres /srv/database; install -d -m 2775 -o postgres -g postgres /run/postgresql
runuser -u postgres -- "$programs/initdb" -A trust -E UTF8 --locale C /srv/database >/dev/null
printf "listen_addresses = '*'\nfsync = off\nunix_socket_directories = '/run/postgresql'\n" >>/srv/database/postgresql.conf
cat >/srv/database/pg_hba.conf <<'C'
local all postgres peer
host clinic portal 10.0.0.0/8 scram-sha-256
host clinic reporting 10.0.0.0/8 trust
C
runuser -u postgres -- "$programs/pg_ctl" -w -s -D /srv/database -l /srv/database/log start </dev/null >/dev/null
