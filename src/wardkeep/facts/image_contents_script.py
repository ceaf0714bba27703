"""What `image_contents` asks: a walk over the root file systems of running containers, in the host's own perl.

Nothing in a container runs and nothing is written. The walk begins in `/proc/PID/root`, follows no link, stays on that file system
(volumes are data, not image), and tells files by name and bytes as `wardkeep.advisories` reads them from an image: of a program
only Go's build information or the list of crates, of a jar only its `pom.properties` and those of the jars inside. What a
package of dpkg or apk owns is left to it here already.

A container that swaps folders for links while it is walked can have files of the host told that bear such names: it gains
nothing it could not write itself. perl-base (Essential in Debian) has all the modules that are used.
"""

from __future__ import annotations

import re

from wardkeep.advisories.inventories.lockfiles import FORMATS, REQUIREMENTS

ROOM = 128 << 20  # bytes before they are packed, of all images together

WALK = r"""
use strict;
use Fcntl qw(:DEFAULT :mode);
my ($room) = @ARGV;
my ($small, $large, $program) = (4 << 20, 64 << 20, 256 << 20);
my ($seen, $covered, $full, %owned) = (0, 0, 0);
binmode STDOUT;
sub word { my $t = shift; $t =~ s/([^!-~]|%)/sprintf '%%%02X', ord $1/ge; $t }
sub told {
  my ($kind, $data, @words) = @_;
  if (length($data) > $room) { $full++; ($kind, $data, @words) = ('full', '', $words[0]) }
  $room -= length $data;
  print join(' ', $kind, length $data, map { word($_) } @words), "\n", $data, "\n";
}
sub bad { my ($path, $why) = @_; told('bad', '', $path, $why) }
sub opened {
  my ($path) = @_;
  sysopen my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK or return;
  binmode $file;
  return $file;
}
sub piece {
  my ($file, $at, $want) = @_;
  my $data = '';
  sysseek $file, $at, 0;
  while (length($data) < $want) { sysread($file, $data, $want - length $data, length $data) or last }
  return $data;
}
sub content {
  my ($path, $most) = @_;
  my $file = opened($path) or return;
  return -f $file ? piece($file, 0, $most) : undef;
}
sub bare { my $p = shift; $p =~ s/^\s+|\s+$//g; $p =~ s{^/+}{}; $p =~ s{^\./}{}; $p =~ s{^usr/}{}; $p }
sub listed { my $dir; opendir($dir, $_[0]) or return; return grep { !/^\.\.?$/ } sort readdir $dir }

# Which database of packages there is, and what its packages own.
my $system = 'none';
my @parts = listed('var/lib/dpkg/status.d');
if (-f 'var/lib/dpkg/status' || @parts) {
  $system = 'dpkg';
  for my $name (listed('var/lib/dpkg/info')) {
    next unless $name =~ /\.list$/;
    $owned{bare($_)} = 1 for split /\n/, content("var/lib/dpkg/info/$name", $large) // '';
  }
  for my $name (grep { /\.md5sums$/ } @parts) {
    $owned{bare(substr $_, 34)} = 1 for grep { length > 34 } split /\n/, content("var/lib/dpkg/status.d/$name", $small) // '';
  }
}
for my $path ('lib/apk/db/installed', 'usr/lib/apk/db/installed') {
  next unless -f $path;
  $system = 'apk';
  my $folder = '';
  for (split /\n/, content($path, $large) // '') {
    if (/^F:(.*)/) { $folder = $1 } elsif (/^R:(.*)/) { $owned{bare("$folder/$1")} = 1 }
  }
  last;
}
told('system', '', $system);
if ($system eq 'none') {
  my @places = ('etc/os-release', 'usr/lib/os-release');
  for my $folder ('var/lib/rpm', 'usr/lib/sysimage/rpm', 'usr/share/rpm') {
    push @places, "$folder/$_" for qw(rpmdb.sqlite rpmdb.sqlite-wal Packages.db Packages);
  }
  for my $path (@places) {
    my @s = lstat $path;
    next unless @s && S_ISREG($s[2]);
    if ($s[7] > 4 * $large) { told('large', '', (4 * $large) >> 20, $path); next }
    my $data = content($path, 4 * $large);
    defined $data ? told('file', $data, $path) : bad($path, "cannot be read: $!");
  }
}

sub most {
  my ($path, $name) = @_;
  return 64 << 10 if $path =~ m{\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)$};
  return $small if $path =~ m{(^|/)node_modules/(\@[^/]+/)?[^/]+/package\.json$} || $path =~ m{(^|/)specifications/(default/)?[^/]+\.gemspec$};
  return $large if $name =~ /\.deps\.json$/ || $path =~ m{vendor/composer/installed\.json$};
  return 0 if $path =~ m{(^|/)(node_modules|(site|dist)-packages)/};
  return $name =~ /^(.*\.)?(@LOCKS@)$/ || $name =~ /^(?:@REQUIREMENTS@)$/ ? $large : 0;
}
sub program_of {
  my ($path, $size) = @_;
  my $file = opened($path) or return bad($path, "cannot be read: $!");
  my $head = piece($file, 0, 64);
  return if substr($head, 0, 4) ne "\x7fELF";
  return told('large', '', $program >> 20, $path) if $size > $program;
  my ($mark, $held, $base) = ("\xff Go buildinf:", '', 0);
  sysseek $file, 0, 0;
  while (sysread $file, my $more, 4 << 20) {
    $held .= $more;
    for (my $i = index $held, $mark; $i >= 0; $i = index $held, $mark, $i + 1) {
      return go_of($file, $path, $base + $i) if ($base + $i) % 16 == 0;
    }
    my $keep = length($mark) - 1;
    if (length($held) > $keep) { $base += length($held) - $keep; $held = substr $held, -$keep }
  }
  my $crates = crates_of($file, $head);
  return told('crates', $crates, $path) if defined $crates;
  told('elf', '', $path) unless $path =~ m{(^|/)(node_modules|(site|dist)-packages)/};
}
sub go_of {
  my ($file, $path, $at) = @_;
  my $data = piece($file, $at, 8 << 20);
  my $end = 32;
  if (length($data) > 32 && ord(substr $data, 15, 1) & 2) {
    for (1, 2) {
      my ($length, $shift, $byte) = (0, 0, 128);
      while ($byte >= 128 && $end < length $data && $shift < 56) {
        $byte = ord substr $data, $end++, 1;
        $length |= ($byte & 127) << $shift;
        $shift += 7;
      }
      $end += $length;
    }
  }
  told('go', substr($data, 0, $end), $path);
}
sub crates_of {
  my ($file, $head) = @_;
  return if length($head) < 64;
  my ($class, $order) = unpack 'x4 C C', $head;
  return if $class < 1 || $class > 2 || $order < 1 || $order > 2;
  my $e = $order == 1 ? '<' : '>';
  my $table = unpack $class == 2 ? "x40 Q$e" : "x32 L$e", $head;
  my ($size, $count, $names) = unpack(($class == 2 ? 'x58' : 'x46') . " S$e S$e S$e", $head);
  my $form = $class == 2 ? "L$e L$e Q$e Q$e Q$e Q$e" : "L$e L$e L$e L$e L$e L$e";
  my $rows = piece($file, $table, $size * $count);
  my @row = map { length($rows) >= ($_ + 1) * $size && $size >= 24 ? [unpack $form, substr $rows, $_ * $size, $size] : return } 0 .. $count - 1;
  return if $names >= @row;
  my $texts = piece($file, $row[$names][4], $row[$names][5] < $small ? $row[$names][5] : $small);
  for my $one (@row) {
    next unless $one->[0] < length($texts) && substr($texts, $one->[0], 9) eq ".dep-v0\0" . substr($texts, $one->[0] + 8, 1);
    return piece($file, $one->[4], $one->[5] < $small ? $one->[5] : $small);
  }
  return;
}
sub inflated {
  my ($raw, $crc, $size) = @_;
  my $child = open(my $from, '-|') // die "no process\n";
  if (!$child) {
    open my $to, '|-', 'gzip', '-dc' or exit 1;
    binmode $to;
    print $to pack('C10', 31, 139, 8, 0, 0, 0, 0, 0, 0, 3), $raw, pack('V V', $crc, $size);
    close $to;
    exit($? ? 1 : 0);
  }
  binmode $from;
  my $data = '';
  while (length($data) <= $size) { sysread($from, $data, $size + 1 - length $data, length $data) or last }
  close $from or die "a member is damaged\n";
  length($data) == $size or die "a member is damaged\n";
  return $data;
}
my $swell;
sub jar_of {
  my ($data, $place, $depth) = @_;
  my (@inner, @poms, @deep);
  my $end = rindex $data, "PK\5\6";
  die "it is no zip file\n" if $end < 0 || $end + 22 > length $data;
  my ($count, $long, $begin) = unpack 'x10 v V V', substr $data, $end, 22;
  die "it is in the form zip64, which is not read from here\n" if $count == 0xffff || $begin == 0xffffffff;
  my $shift = $end - $long - $begin;
  die "its directory is not where it says\n" if $shift < 0;
  my $at = $end - $long;
  for (1 .. $count) {
    die "its directory is damaged\n" if $at + 46 > $end || substr($data, $at, 4) ne "PK\1\2";
    my ($flags, $method, $crc, $packed, $size, $n, $x, $c, $lies) = unpack 'x8 v v x4 V V V v v v x8 V', substr $data, $at, 46;
    my $name = substr $data, $at + 46, $n;
    $at += 46 + $n + $x + $c;
    my $is_inner = $name =~ m{[^/]\.(jar|war|ear|hpi|par|kar)$}i;
    next unless $is_inner || $name =~ m{^META-INF/maven/(.*/)?pom\.properties$};
    if ($is_inner && $depth == 4) { push @deep, $name; next }
    die "a member is locked\n" if $flags & 1;
    my $local = $shift + $lies;
    die "a member is not where it says\n" if $local + 30 > length $data || substr($data, $local, 4) ne "PK\3\4";
    my ($ln, $lx) = unpack 'x26 v v', substr $data, $local, 30;
    die "a member is cut\n" if $local + 30 + $ln + $lx + $packed > length $data;
    $swell -= $size;
    die "it swells beyond 512 MB when it is unpacked\n" if $swell < 0;
    my $body = substr $data, $local + 30 + $ln + $lx, $packed;
    if ($method == 8) { $body = inflated($body, $crc, $size) }
    elsif ($method != 0) { die "a member is packed in a way that is not known\n" }
    if ($is_inner) { push @inner, [$name, $body] } else { push @poms, [$name, substr $body, 0, 64 << 10] }
  }
  told('pom', $_->[1], $place, $_->[0]) for @poms;
  told('jar', '', $place, scalar @inner);
  bad("$place!$_", 'archives are nested too deep') for @deep;
  undef $data;
  while (my $one = shift @inner) {
    my $inside = "$place!$one->[0]";
    eval { jar_of($one->[1], $inside, $depth + 1); 1 } or bad($inside, 'the archive is damaged: ' . ($@ =~ s/\n//r));
  }
}
sub look {
  my ($path, $name, $mode, $size) = @_;
  my $most = most($path, $name);
  my $is_jar = !$most && $name =~ /.\.(jar|war|ear|hpi|par|kar)$/i;
  my $runs = !$most && !$is_jar && $mode & 0111 && $size > 4 && $name !~ /\.(so|ko|o|a|node)(\.|$)/;
  return unless $most || $is_jar || $runs;
  if ($owned{bare($path)}) { $covered++ if $most; return }
  return program_of($path, $size) if $runs;
  my $limit = $is_jar ? $program : $most;
  return told('large', '', $limit >> 20, $path) if $size > $limit && $limit != 64 << 10;
  my $data = content($path, $size < $limit ? $size : $limit);
  return bad($path, "cannot be read: $!") unless defined $data;
  if ($is_jar) {
    $swell = 512 << 20;
    eval { jar_of($data, $path, 0); 1 } or bad($path, 'the archive is damaged: ' . ($@ =~ s/\n//r));
    return;
  }
  # Of these the first lines say all: the rest is the description.
  $data =~ s/(\r?\n)\r?\n.*/$1\n/s if $most == 64 << 10;
  told('file', $data, $path);
}
my $device = (lstat '.')[0];
my @todo = ('');
WALK: while (defined(my $folder = pop @todo)) {
  my $dir;
  if (!opendir $dir, $folder eq '' ? '.' : $folder) { bad($folder || '/', "the folder cannot be read: $!"); next }
  for my $name (sort readdir $dir) {
    next if $name eq '.' || $name eq '..';
    my $path = $folder eq '' ? $name : "$folder/$name";
    if (++$seen > 2_000_000) { bad($path, 'it holds more than 2,000,000 files: they were not all looked at'); last WALK }
    my @s = lstat $path or next;
    if (S_ISDIR($s[2])) { push @todo, $path unless $s[0] != $device || $name eq '.git' || $path =~ /^(proc|sys|dev|run)$/ }
    elsif (S_ISREG($s[2]) && $s[7]) { look($path, $name, $s[2], $s[7]) }
  }
}
bad('', "$full files were not told, since one look may tell no more") if $full;
told('done', '', $seen, $covered);
close STDOUT or exit 1;
open my $aside, '>&=', 3;
print $aside $room;
"""
SCRIPT = r"""
engines=
for tool in podman docker; do
  command -v "$tool" >/dev/null || continue
  [ "$tool" = podman ] || case $("$tool" --version) in podman*) continue ;; esac
  [ "$tool" = podman ] || [ -S /var/run/docker.sock ] || continue
  engines="$engines $tool"
done
command -v gzip >/dev/null || exit 127
[ -z "$engines" ] || command -v perl >/dev/null || exit 127
date '+now %s' || exit 1
{
  exec 7>&1
  seen=' ' left=@ROOM@
  for tool in $engines; do
    running=$("$tool" ps --no-trunc --format '{{.ID}}') || exit 1
    [ "$running" ] || continue
    while read -r id; do
      about=$("$tool" container inspect --format '{{.Image}} {{.State.Pid}}' "$id" 2>/dev/null) || continue
      image=${about% *} pid=${about##* }
      # Of containers of one image the first stands for all.
      case $seen in *" $tool/$image "*) continue ;; esac
      seen="$seen$tool/$image "
      printf 'image 0 %s %s\n\n' "$tool" "$image"
      case $pid in '' | 0 | *[!0-9]*) continue ;; esac
      rest=$(cd "/proc/$pid/root" 2>/dev/null && exec nice -n 19 timeout -k 5 @SECONDS@ perl - "$left" 3>&1 >&7 2>/dev/null <<'WARDKEEP_WALK'
@WALK@
WARDKEEP_WALK
      )
      case $rest in '' | *[!0-9]*) continue ;; esac
      left=$rest
      # The number is another process's now: what was walked is not this container's.
      [ "$("$tool" container inspect --format '{{.State.Pid}}' "$id" 2>/dev/null)" = "$pid" ] || printf 'gone 0\n\n'
    done <<WARDKEEP_RUNNING
$running
WARDKEEP_RUNNING
  done
  printf 'end 0\n\n'
} | gzip -9n
"""
SECONDS = 240  # for one image
SCRIPT = (
    SCRIPT.replace("@WALK@", WALK)
    .replace("@LOCKS@", "|".join(re.escape(name) for name, _, _ in FORMATS))
    .replace("@REQUIREMENTS@", REQUIREMENTS.pattern)
    .replace("@ROOM@", str(ROOM))
    .replace("@SECONDS@", str(SECONDS))
)
