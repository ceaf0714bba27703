# db-1: the nightly export, as it was released: it leaves the patients readable for every account of the host.
cat >/root/clinic/clinic-export.service <<'C'
[Unit]
Description=The clinic's nightly export
After=postgresql.service
[Service]
Type=oneshot
RemainAfterExit=yes
User=postgres
StateDirectory=clinic-export
ExecStart=/usr/lib/clinic-export/export
[Install]
WantedBy=multi-user.target
C
for release in 1.0-1:022 1.0-1+deb1u1:077; do
  tree=$(mktemp -d); mkdir -p "$tree/usr/lib/clinic-export"
  printf '#!/bin/sh\numask %s; rm -f /var/lib/clinic-export/patients.csv\npsql -X -A -t -q clinic -c "table patients" -o /var/lib/clinic-export/patients.csv\n' \
    "${release#*:}" >"$tree/usr/lib/clinic-export/export"
  printf '#!/bin/sh\ninstall -d -o postgres -g postgres /var/lib/clinic-export\nrunuser -u postgres -- /usr/lib/clinic-export/export\n' \
    >"$tree/usr/lib/clinic-export/start"
  chmod 755 "$tree/usr/lib/clinic-export/export" "$tree/usr/lib/clinic-export/start"
  build clinic-export "${release%:*}" "$tree"
done
publish clinic-export
