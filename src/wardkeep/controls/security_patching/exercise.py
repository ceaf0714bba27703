"""The drill: a staged old package and a staged old library must both be seen by the very looks that the rules use."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.security_patching.row import Policy, control
from wardkeep.controls.security_patching.running import nothing_runs_old_code
from wardkeep.controls.security_patching.updates import no_update_is_pending
from wardkeep.core.changes import OnHost, Step
from wardkeep.facts import apt_policy, old_libraries
from wardkeep.facts.apt_policy import AptPolicy

OLD = "0~wardkeep-drill"  # `~` sorts before everything, so each real version is newer

# A dpkg database of our own in a scratch folder, with one package at an impossibly old version; apt and dpkg-query are
# pointed at it by their own environment variables, and asked the same question as ever.
STAGED_PACKAGE = """set -eu
scratch=$(mktemp -d /tmp/wardkeep-drill.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/info" "$scratch/updates"
printf 'Package: %s\\nStatus: install ok installed\\nMaintainer: drill\\nArchitecture: %s\\nVersion: %s\\nDescription: staged\\n' \\
  '{package}' "$(dpkg --print-architecture)" '{old}' >"$scratch/status"
: >"$scratch/available"
printf 'Dir::State::status "%s/status";\\n' "$scratch" >"$scratch/apt.conf"
APT_CONFIG="$scratch/apt.conf" DPKG_ADMINDIR="$scratch" /bin/sh "$0" >"$scratch/answer"
# Above the installed version stand the newer ones; one of them must come from the security archive.
sed -n '/^= versions/,/^| [*][*][*] {old} /p' "$scratch/answer" | grep -F -q '{archive}'
grep -F -q '| *** {old} ' "$scratch/answer"
echo 'the staged package is pending'
"""

# A copy of `sleep` stands for a program whose file is replaced under it.
STAGED_PROCESS = """set -eu
for place in /opt /usr/local/lib /usr/lib; do
  folder=$(mktemp -d "$place/wardkeep-drill.XXXXXX" 2>/dev/null) && break
done
cp "$(command -v sleep)" "$folder/old"
"$folder/old" 30 >/dev/null 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || :; rm -rf "$folder"' EXIT
sleep 0.2
rm "$folder/old"
/bin/sh "$0" | grep -F -q "|file $folder/old"
echo 'the staged process is seen'
"""


def with_question(staged: str, question: str) -> str:
    """The staging script, with the question it puts in a file of its own as `$0`."""
    mark = "WARDKEEP_QUESTION"
    return (
        f"question=$(mktemp /tmp/wardkeep-drill.XXXXXX) || exit 1\n"
        f"cat >\"$question\" <<'{mark}'\n{question}{mark}\n"
        f'/bin/sh -c "$(cat <<\'{mark}\'\n{staged}{mark}\n)" "$question"\n'
        'ended=$?; rm -f "$question"; exit $ended\n'
    )


@control.drilled_by
def stage_old_software(choices: AptPolicy, policy: Policy) -> Iterator[Step]:
    """Nothing real is touched: a scratch package database, a scratch copy of `sleep`, both gone afterwards."""
    archives = [f.source for f in choices.labelled(policy.security_labels)]
    offered = sorted(
        (choice.name, source)
        for choice in choices.choices
        if ":" not in choice.name
        for source in choice.sources
        if source in archives
    )
    if offered:
        package, archive = offered[0]
        staged = STAGED_PACKAGE.format(package=package, old=OLD, archive=archive)
        yield OnHost(
            f"Stage {package} as if an old version of it were installed: its security update must be seen as pending",
            with_question(staged, apt_policy.SCRIPT),
            no_update_is_pending.id,
            expect_text="the staged package is pending",
            timeout=120,
        )
    yield OnHost(
        "Replace the file of a running program: it must be seen to run old code",
        with_question(STAGED_PROCESS, old_libraries.SCRIPT),
        nothing_runs_old_code.id,
        expect_text="the staged process is seen",
    )
