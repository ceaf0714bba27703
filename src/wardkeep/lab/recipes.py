"""What goes into the lab's images: packages and hooks of a container's and of a machine's root file system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SUITES = {"12": "bookworm", "13": "trixie"}
# Every file of an image is no younger than this, and a build has no other clock: 2025-01-01T00:00:00Z.
EPOCH = 1735689600

HOST = (
    "systemd-sysv dbus libpam-systemd openssh-server sudo cron nftables iproute2 procps netbase passwd login "
    "systemd-timesyncd unattended-upgrades needrestart libpam-google-authenticator rsyslog less python3-minimal"
)
# A machine has its own kernel, so it can have what belongs to one: encrypted disks, a TPM, tunnels, an audit trail.
MACHINE = (
    "udev kmod linux-image-cloud-amd64 initramfs-tools lz4 qemu-guest-agent python3 auditd cryptsetup tpm2-tools "
    "clevis-luks tang wireguard-tools iputils-ping ca-certificates curl e2fsprogs fscrypt fail2ban rsyslog-gnutls"
)
ONLY = {
    ("host", "bookworm"): "",
    ("host", "trixie"): "wtmpdb libpam-wtmpdb",
    ("machine", "bookworm"): "",
    ("machine", "trixie"): "wtmpdb libpam-wtmpdb systemd-cryptsetup",
}

# What needs the kernel's or this machine's own devices: a container must never touch them.
MASKED_IN_HOST = (
    "systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service "
    "systemd-remount-fs.service systemd-modules-load.service systemd-sysctl.service systemd-networkd.service "
    "systemd-networkd.socket systemd-networkd-wait-online.service systemd-timesyncd.service getty@tty1.service "
    "console-getty.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount "
    "sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount apt-daily.timer apt-daily-upgrade.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-logind-varlink.socket"
)
# What only costs time at boot, or would call for a network that is not there.
MASKED_IN_MACHINE = (
    "systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-timesyncd.service "
    "e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer "
    "getty@tty1.service serial-getty@ttyS0.service modprobe@drm.service console-setup.service keyboard-setup.service "
    "systemd-binfmt.service fail2ban.service tangd.socket logrotate.timer man-db.timer"
)

# Every host makes its own keys at its first boot, and knows no package archive: tests stay on this machine.
_BOTH = """#!/bin/sh
set -eu
R="$1"
: > "$R/etc/apt/sources.list"; rm -f "$R"/etc/apt/sources.list.d/* "$R"/etc/ssh/ssh_host_*
for u in {masked}; do ln -sf /dev/null "$R/etc/systemd/system/$u"; done
cat > "$R/etc/systemd/system/lab-keys.service" <<'U'
[Unit]
Description=Host keys of this lab host
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
U
sed -i 's/^module(load="imklog".*/# &/' "$R/etc/rsyslog.conf"
chroot "$R" systemctl enable ssh lab-keys >/dev/null 2>&1
chroot "$R" passwd -l root >/dev/null
: > "$R/etc/machine-id"; rm -f "$R/var/lib/dbus/machine-id"
# Caches and logs name the moment of the build.
rm -rf "$R"/var/log/apt/* "$R"/var/log/*.log "$R"/var/cache/ldconfig/aux-cache "$R"/var/cache/apt/*.bin
find "$R" -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
"""
_HOST = """: > "$R/etc/fstab"
"""
# Modules are unpacked once here: xz is slow on an emulated processor. sshd has no RSA key there for the same reason.
_MACHINE = """echo 'LABEL=root / ext4 errors=remount-ro 0 1' > "$R/etc/fstab"
sed -i '/^ExecStart=/d' "$R/etc/systemd/system/lab-keys.service"
cat > "$R/usr/local/sbin/lab-keys" <<'K'
#!/bin/sh
for t in ed25519 ecdsa; do ssh-keygen -q -t $t -N '' -f /etc/ssh/ssh_host_${t}_key; done
K
chmod 755 "$R/usr/local/sbin/lab-keys"
sed -i '/^Type=oneshot/a ExecStart=/usr/local/sbin/lab-keys' "$R/etc/systemd/system/lab-keys.service"
KV=$(ls "$R/lib/modules")
find "$R/lib/modules/$KV" -name '*.ko.xz' -exec xz -d {} +
chroot "$R" depmod "$KV"
printf 'MODULES=list\\nCOMPRESS=lz4\\n' > "$R/etc/initramfs-tools/conf.d/lab"
printf 'virtio_blk\\nvirtio_pci\\next4\\n' > "$R/etc/initramfs-tools/modules"
printf 'blacklist kvm_amd\\nblacklist kvm\\nblacklist powernow_k8\\nblacklist psmouse\\nblacklist floppy\\nblacklist pcspkr\\n' \\
  > "$R/etc/modprobe.d/lab.conf"
chroot "$R" update-initramfs -u -k "$KV" >/dev/null
chroot "$R" systemctl enable auditd qemu-guest-agent >/dev/null 2>&1 || true
"""
# Package that a host may have besides → what its installation leaves behind that no two builds have alike.
# A cluster made at installation has a random id, and the certificate a random key: a host makes its own.
_LEFT: Mapping[str, str] = {
    "postgresql": """chroot "$R" sh -c 'pg_lsclusters -h | while read v n rest; do pg_dropcluster $v $n; done'
rm -f "$R"/etc/ssl/private/ssl-cert-snakeoil.key "$R"/etc/ssl/certs/ssl-cert-snakeoil.pem "$R"/var/log/postgresql/*
""",
}


@dataclass(frozen=True)
class Recipe:
    """One root file system: `what` is "host" (for containers) or "machine" (with a kernel), `more` are packages besides."""

    what: str
    suite: str
    more: tuple[str, ...] = ()

    @property
    def packages(self) -> list[str]:
        own = MACHINE.split() if self.what == "machine" else []
        return sorted({*HOST.split(), *own, *ONLY[self.what, self.suite].split(), *self.more})

    @property
    def hook(self) -> str:
        """The shell script that mmdebstrap runs on the new root, which is its first argument."""
        if self.what == "machine":
            return _BOTH.replace("{masked}", MASKED_IN_MACHINE) + _MACHINE
        left = "".join(_LEFT.get(package, "") for package in self.more)
        return _BOTH.replace("{masked}", MASKED_IN_HOST) + _HOST + left

    def text(self) -> str:
        """All that decides the content, besides what the archive holds today."""
        return "\n".join((self.what, self.suite, str(EPOCH), *self.packages, self.hook))
