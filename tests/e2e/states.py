"""States that a lab host is brought into: shell scripts for `Host.stage`. The recorded hosts were made by the same scripts."""

from __future__ import annotations

# Every rule of system_access broken at once, as it is met in the field.
ACCESS_BROKEN = r"""
cat > /etc/ssh/sshd_config.d/50-site.conf <<'C'
PermitRootLogin no
LogLevel QUIET
Match Address 10.0.0.0/8,127.0.0.0/8
    PermitRootLogin yes
    PasswordAuthentication yes
    PermitEmptyPasswords yes
C
echo 'root:correct horse battery' | chpasswd
useradd -m -s /bin/bash -c 'Alice Doe' alice
useradd -m -s /bin/bash bob; chage -d 2024-01-01 bob; usermod -p '$y$j9T$0123456789abcdefghijkl$0123456789abcdefghijklmnopqrstuvwxyz0123456' bob; chage -d 2024-01-01 bob
useradd -m -s /bin/bash guest; passwd -d guest >/dev/null
useradd -o -u 0 -g 0 -M -s /bin/bash toor 2>/dev/null
useradd -m -s /bin/bash -o -u "$(id -u alice)" alias
useradd -m -s /bin/bash temp
for name in alice bob; do
  install -d -m 700 -o "$name" /home/$name/.ssh
  [ -e /root/weak ] || ssh-keygen -q -t rsa -b 1024 -N '' -C shared -f /root/weak
  cat /root/weak.pub >> /home/$name/.ssh/authorized_keys; chown -R "$name" /home/$name/.ssh; chmod 600 /home/$name/.ssh/authorized_keys
done
cat > /etc/sudoers.d/site <<'C'
Defaults !syslog
alice ALL=(ALL:ALL) NOPASSWD: ALL
bob ALL=(root) /usr/bin/less /var/log/*
C
chmod 440 /etc/sudoers.d/site
printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf
systemctl restart systemd-journald; umount /var/log/journal || umount -l /var/log/journal; rm -rf /var/log/journal/*
systemctl stop rsyslog syslog.socket 2>/dev/null; rm -f /var/log/auth.log
: > /var/log/wtmp; rm -f /var/log/wtmp.db /var/lib/wtmpdb/wtmp.db
systemctl restart ssh
"""
# What an administrator who took care would have: two people with a key and a code each; `ops` is a program's account.
ACCESS_HARDENED = r"""
cat > /etc/ssh/sshd_config.d/10-site.conf <<'C'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods publickey,keyboard-interactive
ClientAliveInterval 300
ClientAliveCountMax 3
LogLevel VERBOSE
C
sed -i 's/^@include common-auth/auth required pam_google_authenticator.so/' /etc/pam.d/sshd
for name in alice bob; do
  useradd -m -s /bin/bash -c "$name" "$name"; echo "$name:correct horse battery $name" | chpasswd
  install -d -m 700 -o "$name" /home/$name/.ssh
  ssh-keygen -q -t ed25519 -N '' -C "$name@example.org" -f /root/$name
  mv /root/$name.pub /home/$name/.ssh/authorized_keys; rm /root/$name; chown -R "$name" /home/$name/.ssh; chmod 600 /home/$name/.ssh/authorized_keys
  adduser -q "$name" sudo 2>/dev/null || usermod -aG sudo "$name"
done
cat >> /etc/ssh/sshd_config.d/10-site.conf <<'C'
Match User ops
    AuthenticationMethods publickey
C
rm -f /root/.ssh/authorized_keys
echo 'readonly TMOUT=900; export TMOUT' > /etc/profile.d/idle.sh
systemctl restart ssh
"""
# Upkeep neglected: a failed service, a reboot that is waited for, updates switched off.
SYSTEM_BROKEN = r"""
systemd-run -q --unit=site-sync.service -p Type=oneshot /bin/false 2>/dev/null || true
echo 'linux-image-amd64' > /run/reboot-required.pkgs; echo '*** System restart required ***' > /run/reboot-required
printf 'APT::Periodic::Update-Package-Lists "7";\nAPT::Periodic::Unattended-Upgrade "0";\n' > /etc/apt/apt.conf.d/20auto-upgrades
systemctl unmask apt-daily.timer apt-daily-upgrade.timer; systemctl disable --now apt-daily.timer apt-daily-upgrade.timer
"""
# Upkeep as it should be; the stamps are what apt's own script leaves behind after a run.
SYSTEM_KEPT = r"""
systemctl unmask apt-daily.timer apt-daily-upgrade.timer; systemctl enable --now apt-daily.timer apt-daily-upgrade.timer
touch /var/lib/apt/periodic/update-success-stamp /var/lib/apt/periodic/unattended-upgrades-stamp
"""
# Not made by Debian, as far as os-release says: what Wardkeep must not call green. The text is Alpine's own.
OTHER_MAKER = r"""
rm /etc/os-release
printf 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n' > /etc/os-release
"""

# Upkeep. `demo` is the package of tests/e2e/archive.py, whose upgrade does not restart its service.
LISTENING = "systemd-run --quiet --unit=web systemd-socket-activate -l 8088 sleep 600; sleep 0.3"
UPGRADED = "apt-get -q -y upgrade >/dev/null 2>&1"
RESTARTED = "systemctl restart demo"
HELD = "apt-mark hold demo >/dev/null"
# IPv4 only, as a hand-made file often is.
HALF_CLOSED = r"""
cat >/etc/nftables.conf <<'N'
#!/usr/sbin/nft -f
flush ruleset
table ip filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		tcp dport { 22, 443 } accept
	}
}
N
systemctl enable --now nftables 2>/dev/null; systemctl restart nftables
"""
# Rules that hang on a mark: this version cannot decide them.
MARKED = r"""
nft -f - <<'N'
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		meta mark 0x1 accept
		tcp dport 22 accept
	}
}
N
"""
CLOSED = r"""
cat >/etc/nftables.conf <<'N'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	set admins {
		type ipv4_addr; flags interval
		elements = { 10.88.0.0/16 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
		ip saddr @admins tcp dport 22 accept
	}
}
N
systemctl enable --now nftables 2>/dev/null; systemctl restart nftables
"""

# Keys lie open, the journal is in memory, a backup fails, log lines travel in clear, programs were altered.
NEGLECTED = r"""
cat > /etc/rsyslog.d/50-forward.conf <<'X'
# lines to the archive
*.* @@(o)logs.example.net:6514
auth,authpriv.* @10.9.8.7
local0.* @127.0.0.1:5140
action(type="omrelp" target="relay.example.net" port="2514"
       tls="on" template="RSYSLOG_SyslogProtocol23Format")
action(type="ommysql" server="db" uid="log" pwd="hunter2")
:ommysql:db,logs,log,hunter2
X
mkdir -p /etc/systemd/journald.conf.d; printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf.d/x.conf
cat > /etc/systemd/system/restic-ehr.service <<'X'
[Service]
Type=oneshot
ExecStart=/bin/true
X
cat > /etc/systemd/system/restic-ehr.timer <<'X'
[Timer]
OnCalendar=daily
[Install]
WantedBy=timers.target
X
cat > /etc/systemd/system/borg-files.service <<'X'
[Service]
Type=oneshot
ExecStart=/bin/false
X
systemctl daemon-reload; systemctl enable --now restic-ehr.timer; systemctl start restic-ehr; systemctl start borg-files || true
printf '#!/bin/sh\nRESTIC_PASSWORD=hunter2 restic backup /srv\n' > /etc/cron.daily/backup-srv
mkdir -p /etc/nginx/tls; ssh-keygen -q -m PEM -t rsa -b 2048 -N '' -f /etc/nginx/tls/ehr.key
chmod 644 /etc/nginx/tls/ehr.key; cp /etc/nginx/tls/ehr.key '/etc/nginx/tls/odd name.key'; chmod 640 /etc/nginx/tls/'odd name.key'
chgrp adm '/etc/nginx/tls/odd name.key'; touch -d 2025-01-02T00:00:00Z /etc/nginx/tls/ehr.key
cp /bin/dash /usr/local/bin/sh2; chmod 4755 /usr/local/bin/sh2
printf x >> /usr/bin/newgrp; rm -f /usr/bin/expiry
"""
