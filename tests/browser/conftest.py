"""A JupyterLab on localhost with one notebook a viewer, and a headless Chromium that clicks and drags in it.

To try the viewers with ipywidgets 7.7 on both sides, in the page as in the kernel (`.ci/run` makes the folder):

    python3 -m venv lab3 && lab3/bin/pip install "jupyterlab<4" "ipywidgets==7.7.5" "setuptools<80"
    HISTOLIB_LAB=lab3/bin/python PYTHONPATH=$PWD/.venv/ipywidgets-7.7 .venv/bin/python -m pytest tests/browser
"""

import contextlib
import importlib.util
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
LAB = os.environ.get("HISTOLIB_LAB", sys.executable)
MISSING = [name for name in ("selenium", "jupyterlab") if importlib.util.find_spec(name) is None]
MISSING += [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if path is None]

SHOTS = Path(__file__).parent.parent.parent / "runs" / "browser"
CELLS = runpy.run_path(str(Path(__file__).with_name("cells.py")))
SLOWEST_S = 60
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1400,1300",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
# Keeps the words of status lines and the busy class, however briefly they are there.
WATCH = """
window.seen = [];
new MutationObserver(changes => changes.forEach(change => {
  const element = change.target.nodeType === 1 ? change.target : change.target.parentElement;
  if (element && /^[a-z].*…$/.test(element.textContent)) window.seen.push(element.textContent);
  if (element && element.classList.contains('histolib-busy')) window.seen.push('busy');
})).observe(document.body, {subtree: true, childList: true, characterData: true, attributeFilter: ['class']});
"""


def wait(until, what):
    """What `until` returns once it is true; parts of the page that are drawn anew meanwhile are asked for again."""
    from selenium.common.exceptions import StaleElementReferenceException

    end = time.monotonic() + SLOWEST_S
    while time.monotonic() < end:
        with contextlib.suppress(StaleElementReferenceException):
            found = until()
            if found:
                return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {SLOWEST_S} s for {what}")


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address and folder of a JupyterLab whose kernel is this Python."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    folder = tmp_path_factory.mktemp("lab")
    kernel = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    (folder / "kernels" / "here").mkdir(parents=True)
    (folder / "kernels" / "here" / "kernel.json").write_text(json.dumps(kernel | {"display_name": "here"}))
    for name in CELLS["VIEWERS"]:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELLS["source"](name))])
        book.metadata["kernelspec"] = {"name": "here", "display_name": "here", "language": "python"}
        nbformat.write(book, folder / f"{name}.ipynb")
    quiet = folder / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "HISTOLIB_HEADLESS"}
    environment |= {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_PATH": str(folder)}
    with (folder / "log.txt").open("w") as log:
        command = [LAB, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.token="]
        command += ["--ServerApp.password=", f"--notebook-dir={folder}"]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    wait(lambda: answers(f"{address}/api"), "JupyterLab to answer")
    yield address, folder
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def driver(tmp_path_factory, lab):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, lab):
    page = Page(driver, *lab)
    yield page
    page.keep("last")


class Page:
    """A notebook with one viewer, as a reader sees it."""

    def __init__(self, driver, address, folder):
        self.driver, self.address, self.folder = driver, address, folder

    def open(self, name):
        """Open the notebook of a viewer and run its cell as a reader does."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        self.driver.get_log("browser")
        self.driver.get(f"{self.address}/lab/tree/{name}.ipynb?reset")
        named = ".jp-KernelName, .jp-Toolbar-kernelName"
        wait(lambda: any("here" in kernel.text for kernel in self.all(named)), "the kernel")
        wait(lambda: self.all(".jp-Notebook-ExecutionIndicator[data-status='idle']"), "an idle kernel")
        cell = wait(lambda: self.all(".jp-Notebook .jp-CodeCell .jp-InputArea-editor"), "the notebook")[0]
        ActionChains(self.driver).click(cell).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
        wait(lambda: self.all(".jupyter-widgets img"), "the viewer")
        self.driver.execute_script(WATCH)
        self.driver.execute_script("document.querySelector('.jp-OutputArea-output').scrollIntoView()")

    def all(self, selector):
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def press(self, element, *keys):
        """Click an element and press keys, as a reader would."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).click(element).send_keys(*keys).perform()

    def control(self, name):
        """The control that is labelled so."""
        from selenium.webdriver.common.by import By

        label = f"//*[self::label or self::span][normalize-space()='{name}']"
        around = f"{label}/ancestor::*[contains(@class, 'widget-inline-hbox')][1]"
        return wait(lambda: self.driver.find_elements(By.XPATH, around), f"the control {name}")[0]

    def within(self, name, selector):
        from selenium.webdriver.common.by import By

        return self.control(name).find_element(By.CSS_SELECTOR, selector)

    def handle(self, name):
        return self.within(name, ".noUi-handle, .ui-slider-handle")

    def slide(self, name, *keys):
        """Press keys on a slider; what it then says."""
        self.press(self.handle(name), *keys)
        return self.within(name, ".widget-readout").text

    def drag(self, name, pixels):
        """Drag a slider sideways; what it then says."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).drag_and_drop_by_offset(self.handle(name), pixels, 0).perform()
        return self.within(name, ".widget-readout").text

    def choose(self, name, entry):
        from selenium.webdriver.support.select import Select

        Select(self.within(name, "select")).select_by_visible_text(entry)

    def upload(self, path):
        """Choose a file. Its field is outside of the page and would open a window of the system: it is brought in."""
        self.driver.execute_script("HTMLInputElement.prototype.click = function () { document.body.append(this); }")
        self.all(".jupyter-button.widget-upload")[0].click()
        wait(lambda: self.all("body > input[type=file]"), "the field for a file")[-1].send_keys(str(path))
        wait(lambda: f"{path.name} is here" in self.said(), "the upload")

    def picture(self):
        """Where the picture comes from; a new one has a new address."""
        return self.all(".jupyter-widgets img")[0].get_attribute("src")

    def new_picture(self, after, what):
        """Wait until the picture is another than the one before, and the viewer rests."""
        self.until(lambda: self.picture() not in ("", after), what)
        self.until(lambda: not self.all(".histolib-busy"), "the viewer to rest")
        return self.picture()

    def until(self, true, what):
        return wait(true, what)

    def said(self):
        return [label.text for label in self.all(".jupyter-widgets.widget-label")]

    def seen(self):
        """Words of status lines, and 'busy', since the cell was run."""
        return self.driver.execute_script("return window.seen")

    def keep(self, name):
        """A picture of the viewer for whoever looks, below runs/browser."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        shown = self.all(".jp-OutputArea-output")
        if shown and name != "last":
            assert shown[0].screenshot(str(SHOTS / f"{name}.png"))
        else:
            assert self.driver.save_screenshot(str(SHOTS / f"{name}.png"))

    def complaints(self):
        """Errors in the page's console: not those of a page without an icon or a network."""
        entries = [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [entry["message"] for entry in entries if "favicon" not in entry["message"]]
