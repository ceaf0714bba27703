"""The recorded demonstration: docs/demo.md and two pictures of its console, all of one real run on real hosts.

python -m tests.demo.recording          (as root; takes as long as `wardkeep demo`)
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "console")]

from console_browser import add_authenticator, enrol_passkey, launch, new_context  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LINK = re.compile(r"http://localhost:\d+/sign-in/link\?token=\S+")
HEAD = """# The demonstration, as it was recorded

One run of `wardkeep demo` on a machine with two processors that had built the image of the hosts before ({load}).
Where output is cut, the demo itself cut it and says by how much. `{cache}` stands for the lab's cache.

![The console in the chapter Red](images/demo-red.png)
![The console at the end](images/demo-green.png)

```console
$ wardkeep demo --keep
{text}
```
"""


def main() -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    load = f"load {os.getloadavg()[0]:.1f} when it began"
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "wardkeep", "demo", "--keep"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process, sync_playwright() as playwright:  # fmt: skip
        linked, stays = threading.Event(), threading.Event()

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                said.append(line)
                sys.stdout.write(line)
                if LINK.search(line):
                    linked.set()
                if "everything stays until Ctrl-C" in line:
                    stays.set()
            linked.set()
            stays.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            linked.wait()
            link = LINK.search("".join(said))
            assert link, "the console said no link"
            browser = launch(playwright)
            context = new_context(browser, viewport={"width": 1280, "height": 1180})
            page = context.new_page()
            add_authenticator(context, page)
            enrol_passkey(page, link[0])
            origin = link[0].partition("/sign-in")[0]
            page.goto(origin)
            page.screenshot(path=IMAGES / "demo-red.png")
            stays.wait()
            page.goto(origin)
            page.screenshot(path=IMAGES / "demo-green.png", full_page=True)
            browser.close()
        finally:
            process.send_signal(signal.SIGINT)
            reader.join()
    text = "".join(line.rstrip() + "\n" for line in said)
    home = re.search(r"export WARDKEEP_STATE=(\S+)/labs/", text)
    if home:
        text = text.replace(home[1], "CACHE")
    (ROOT / "docs" / "demo.md").write_text(HEAD.format(load=load, cache="CACHE", text=text.strip()))
    return 0 if "claims held" in text else 1


if __name__ == "__main__":
    sys.exit(main())
