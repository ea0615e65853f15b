"""A JupyterLab on localhost with one notebook for each viewer, and a headless Chromium that uses it.

To test the viewers with ipywidgets 7.7 in the page and in the kernel (`.ci/run` makes the folder):

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

with contextlib.suppress(ImportError):
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

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
# Keeps all status lines and the busy class, however brief they are.
WATCH = """
window.seen = [];
new MutationObserver(changes => changes.forEach(change => {
  const element = change.target.nodeType === 1 ? change.target : change.target.parentElement;
  if (element && /^[a-z].*…$/.test(element.textContent)) window.seen.push(element.textContent);
  if (element && element.classList.contains('histolib-busy')) window.seen.push('busy');
})).observe(document.body, {subtree: true, childList: true, characterData: true, attributeFilter: ['class']});
"""


def wait(until, what):
    """The first true value of `until`; elements that are redrawn meanwhile are looked up again."""
    end = time.monotonic() + SLOWEST_S
    while time.monotonic() < end:
        with contextlib.suppress(StaleElementReferenceException, OSError):
            found = until()
            if found:
                return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {SLOWEST_S} s for {what}")


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
    quiet = folder / "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
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
    wait(lambda: urllib.request.urlopen(f"{address}/api", timeout=2).status == 200, "JupyterLab to answer")
    yield address, folder
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def driver(tmp_path_factory, lab):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, lab):
    return Page(driver, *lab)


class Page:
    """A notebook with one viewer, as a reader sees it."""

    def __init__(self, driver, address, folder):
        self.driver, self.address, self.folder = driver, address, folder

    def open(self, name):
        """Open the notebook of a viewer and run its cell as a reader does."""
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
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def within(self, name, selector):
        """A part of the control with this label."""
        label = f"//*[self::label or self::span][normalize-space()='{name}']"
        around = f"{label}/ancestor::*[contains(@class, 'widget-inline-hbox')][1]"
        control = wait(lambda: self.driver.find_elements(By.XPATH, around), f"the control {name}")[0]
        return control.find_element(By.CSS_SELECTOR, selector)

    def slide(self, name, key="", pixels=0):
        """Drag a slider sideways, or press a key on it; returns its readout."""
        handle = self.within(name, ".noUi-handle, .ui-slider-handle")
        chain = ActionChains(self.driver)
        (chain.click(handle).send_keys(key) if key else chain.drag_and_drop_by_offset(handle, pixels, 0)).perform()
        return self.within(name, ".widget-readout").text

    def choose(self, name, entry):
        Select(self.within(name, "select")).select_by_visible_text(entry)

    def upload(self, path):
        """Choose a file. Its hidden field would open a window of the system, so it is moved into the page."""
        self.driver.execute_script("HTMLInputElement.prototype.click = function () { document.body.append(this); }")
        self.all(".jupyter-button.widget-upload")[0].click()
        wait(lambda: self.all("body > input[type=file]"), "the field for a file")[-1].send_keys(str(path))

    def picture(self):
        """Address of the picture, which changes with the picture."""
        return self.all(".jupyter-widgets img")[0].get_attribute("src")

    def new_picture(self, after, what):
        """Wait for a picture other than the one before, and for the viewer to rest."""
        wait(lambda: self.picture() not in ("", after), what)
        wait(lambda: not self.all(".histolib-busy"), "the viewer to rest")
        return self.picture()

    def until_said(self, text):
        wait(lambda: any(text in line for line in self.said()), f"the status {text!r}")

    def said(self):
        return [label.text for label in self.all(".jupyter-widgets.widget-label")]

    def close(self, name):
        """Save a screenshot below runs/browser; the viewer was busy before, and the console has no errors."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        assert self.all(".jp-OutputArea-output")[0].screenshot(str(SHOTS / f"{name}.png"))
        assert {"drawing …", "busy"} <= set(self.driver.execute_script("return window.seen"))
        severe = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert [message for message in severe if "favicon" not in message] == []
