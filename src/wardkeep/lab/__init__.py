"""A lab of real hosts on one machine: namespaces, containers and virtual machines behind one interface."""

from wardkeep.lab.cables import Network
from wardkeep.lab.host import OUTSIDE, Host
from wardkeep.lab.kinds import Kind, all_kinds, choose, is_required, why_not
from wardkeep.lab.lab import Lab
from wardkeep.lab.needs import NEEDS, OFFERS, cheapest
from wardkeep.lab.podman import Ran
from wardkeep.lab.reaper import sweep
from wardkeep.lab.records import Places

__all__ = [
    "NEEDS",
    "OFFERS",
    "OUTSIDE",
    "Host",
    "Kind",
    "Lab",
    "Network",
    "Places",
    "Ran",
    "all_kinds",
    "cheapest",
    "choose",
    "is_required",
    "sweep",
    "why_not",
]
