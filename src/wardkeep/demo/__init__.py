"""The demonstration: a small clinic on hosts of the lab, and the story that is told with it, each claim looked at."""

from wardkeep.demo.live import Live
from wardkeep.demo.setting import Setting, find_setting
from wardkeep.demo.staging import Clinic, put_up
from wardkeep.demo.story import story
from wardkeep.demo.telling import Act, Check, Ran, Scene, Step, Teller, Told, tell

__all__ = [
    "Act",
    "Check",
    "Clinic",
    "Live",
    "Ran",
    "Scene",
    "Setting",
    "Step",
    "Teller",
    "Told",
    "find_setting",
    "put_up",
    "story",
    "tell",
]
