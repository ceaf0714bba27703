# Both hosts: an administrator and the platform's own account, each with a key that works from the platform's machine
# only; and beside that what somebody opened "for the move" and forgot: root, by a password that can be guessed.
useradd -m -s /bin/bash -c 'Ada Okafor' -G sudo ada
echo "ada:$ADMIN_PASSWORD" | chpasswd
ssh-keygen -q -t ed25519 -N '' -C ada@clinic.example -f /root/ada
install -d -m 700 -o ada -g ada /home/ada/.ssh
printf 'from="%s" %s\n' "$PLATFORM" "$(cat /root/ada.pub)" >/home/ada/.ssh/authorized_keys
chown ada: /home/ada/.ssh/authorized_keys; chmod 600 /home/ada/.ssh/authorized_keys
sed -i "s/^/from=\"$PLATFORM\" /" /home/ops/.ssh/authorized_keys
ssh-keygen -lf /root/ada.pub | cut -d' ' -f2 >/root/clinic/ada.fingerprint
rm -f /root/ada /root/ada.pub /root/.ssh/authorized_keys
cat >/etc/ssh/sshd_config.d/10-site.conf <<'C'
PermitRootLogin no
PasswordAuthentication no
ClientAliveInterval 300
ClientAliveCountMax 3
LogLevel VERBOSE
C
cat >/etc/ssh/sshd_config.d/90-move.conf <<'C'
# for the move, until Friday
Match Address 10.77.0.0/16
    PermitRootLogin yes
    PasswordAuthentication yes
C
echo 'root:clinic' | chpasswd
systemctl restart ssh
