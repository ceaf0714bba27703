"""What one effective SSH configuration asks of a person before it lets them in."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.facts.sshd import View

KEYWORDS = {"password": "PasswordAuthentication", "keyboard-interactive": "KbdInteractiveAuthentication"}


def enabled(view: View) -> frozenset[str]:
    """The methods that are switched on. Keyboard-interactive can only succeed by PAM."""
    on = set()
    if view.get("PubkeyAuthentication") == "yes":
        on.add("publickey")
    if view.get("PasswordAuthentication") == "yes":
        on.add("password")
    if view.get("KbdInteractiveAuthentication") == "yes" and view.get("UsePAM") == "yes":
        on.add("keyboard-interactive")
    for keyword, method in (
        ("HostbasedAuthentication", "hostbased"),
        ("GSSAPIAuthentication", "gssapi-with-mic"),
    ):
        if view.options.get(keyword.lower(), ("no",))[0] == "yes":
            on.add(method)
    return frozenset(on)


def chains(view: View) -> Iterator[tuple[str, ...]]:
    """Each series of methods that lets somebody in, of those that can succeed."""
    on, lists = enabled(view), view.get("AuthenticationMethods").split()
    if lists == ["any"]:
        yield from ((method,) for method in sorted(on))
        return
    for text in lists:
        methods = tuple(method.partition(":")[0] for method in text.split(","))
        if all(method in on for method in methods):
            yield methods


def password_alone(view: View, *, root: bool = False) -> str:
    """The setting that lets somebody in with nothing but what they type, quoted; "" if there is none."""
    if root and view.get("PermitRootLogin") != "yes":
        return ""
    for chain in chains(view):
        if all(method in KEYWORDS for method in chain):
            return view.quote(KEYWORDS[chain[0]])
    return ""


def by_key(view: View, *, root: bool = False, typing: bool = True) -> bool:
    """Does a key let its owner in, alone or, where `typing` is possible, together with something typed?"""
    if root and view.get("PermitRootLogin") not in ("yes", "prohibit-password"):
        return False
    return any(
        chain == ("publickey",) or (typing and set(chain) <= {"publickey", *KEYWORDS})
        for chain in chains(view)
        if "publickey" in chain
    )
