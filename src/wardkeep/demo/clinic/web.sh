# web-1: the portal, as it was released. Needs packages.sh, and in /root/clinic the portal, its two queries and its unit.
mkdir -p -m 700 /etc/clinic
cat >/etc/clinic/portal.env <<C
PGHOST=$DATABASE
PGDATABASE=clinic
PGUSER=portal
PGPASSWORD=$PORTAL_PASSWORD
PGCONNECT_TIMEOUT=5
C
chmod 600 /etc/clinic/portal.env
cat >/root/clinic/clinic-portal.service <<'C'
[Unit]
Description=The clinic's portal
[Service]
EnvironmentFile=/etc/clinic/portal.env
ExecStart=/usr/bin/python3 /usr/lib/clinic-portal/portal.py
DynamicUser=yes
Restart=on-failure
[Install]
WantedBy=multi-user.target
C
for release in 1.0-1:flawed 1.0-1+deb1u1:fixed; do
  tree=$(mktemp -d); mkdir -p "$tree/usr/lib/clinic-portal"
  cp /root/clinic/portal.py "$tree/usr/lib/clinic-portal/"
  cat >"$tree/usr/lib/clinic-portal/start" <<'C'
#!/bin/sh
# Where no systemd is: end the one that runs, and start this release.
[ ! -s /run/clinic-portal.pid ] || kill "$(cat /run/clinic-portal.pid)" 2>/dev/null
. /etc/clinic/portal.env
export PGHOST PGDATABASE PGUSER PGPASSWORD PGCONNECT_TIMEOUT
setsid setpriv --reuid=nobody --regid=nogroup --clear-groups /usr/bin/python3 /usr/lib/clinic-portal/portal.py \
  </dev/null >/dev/null 2>&1 &
echo $! >/run/clinic-portal.pid
for try in $(seq 200); do curl -s -m 10 -o /dev/null http://localhost:8080/ && exit 0; sleep 0.2; done
exit 1
C
  chmod 755 "$tree/usr/lib/clinic-portal/start"
  cp "/root/clinic/record-${release#*:}.sql" "$tree/usr/lib/clinic-portal/record.sql"
  build clinic-portal "${release%:*}" "$tree"
done
publish clinic-portal
