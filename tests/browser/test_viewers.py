"""The viewers in a real browser: JupyterLab served on localhost, a headless Chromium that clicks and drags."""

import contextlib
import importlib.util
import os
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
MISSING = [name for name in ("selenium", "jupyterlab") if importlib.util.find_spec(name) is None]
MISSING += [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if path is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SHOTS = Path(__file__).parent.parent.parent / "runs" / "browser"
SLOWEST_S = 90
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1400,1200",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
BROWSE = """
from histolib import viz
viz.browse(lambda tile, stain: viz.figure_counts({"nuclei": tile}, stain), {"tile": [1, 2, 3], "stain": ["he", "ihc"]})
"""
UPLOAD = """
from histolib import viz
def find(content, name, mpp):
    return viz.figure_counts({"bytes": len(content)}, f"{mpp:g}"), {"found.csv": b"x,y"}
viz.upload(find)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab that holds one notebook a viewer."""
    folder = tmp_path_factory.mktemp("lab")
    for name, source in (("browse", BROWSE), ("upload", UPLOAD)):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip())])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, folder / f"{name}.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "HISTOLIB_HEADLESS"} | {
        "JUPYTER_CONFIG_DIR": str(folder)
    }
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
        command += ["--ServerApp.token=", "--ServerApp.password=", f"--notebook-dir={folder}"]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    wait(lambda: answers(f"{address}/api"), "JupyterLab to answer")
    yield address
    server.terminate()
    server.wait(30)


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    keep(driver, "last")
    driver.quit()


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def wait(until, what):
    """What `until` returns once it is true; parts of the page that are drawn anew meanwhile are asked for again."""
    from selenium.common.exceptions import StaleElementReferenceException

    end = time.monotonic() + SLOWEST_S
    while time.monotonic() < end:
        with contextlib.suppress(StaleElementReferenceException):
            found = until()
            if found:
                return found
        time.sleep(0.2)
    raise TimeoutError(f"waited {SLOWEST_S} s for {what}")


def find_all(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def run_notebook(browser, lab, name):
    """Open a notebook and run its cell as a reader does."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{lab}/lab/tree/{name}.ipynb?reset")
    named = ".jp-KernelName, .jp-Toolbar-kernelName"
    wait(lambda: any("Python 3" in kernel.text for kernel in find_all(browser, named)), "the kernel")
    wait(lambda: find_all(browser, ".jp-Notebook-ExecutionIndicator[data-status='idle']"), "an idle kernel")
    cell = wait(lambda: find_all(browser, ".jp-Notebook .jp-CodeCell .cm-content"), "the notebook")[0]
    ActionChains(browser).click(cell).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()


def press(browser, element, keys):
    """Click an element and press keys, as a reader would."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).click(element).send_keys(keys).perform()


def shown(browser):
    """Where the picture of the viewer comes from; empty before it is there."""
    pictures = find_all(browser, ".widget-image, .jupyter-widgets img")
    return pictures[0].get_attribute("src") if pictures else ""


def complaints(browser):
    """Errors of the page's console that are ours: not those of a page without an icon or a network."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")
        if entry["level"] == "SEVERE"
        and ("widget" in entry["message"].lower() or "histolib" in entry["message"].lower())
    ]


def keep(browser, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    assert browser.save_screenshot(str(SHOTS / f"{name}.png"))


def test_a_moved_slider_and_a_chosen_entry_change_the_picture(lab, browser):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    run_notebook(browser, lab, "browse")
    first = wait(lambda: shown(browser), "the picture")
    handle = wait(lambda: find_all(browser, ".noUi-handle"), "the slider")[0]
    press(browser, handle, Keys.ARROW_RIGHT)
    second = wait(lambda: shown(browser) != first and shown(browser), "another picture")
    assert [readout.text for readout in find_all(browser, ".widget-readout")] == ["2"]
    Select(find_all(browser, ".widget-dropdown select")[0]).select_by_visible_text("ihc")
    assert wait(lambda: shown(browser) != second and shown(browser), "a third picture")
    keep(browser, "browse")
    assert complaints(browser) == []


def test_a_picture_is_uploaded_and_its_results_can_be_downloaded(lab, browser, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(b"12345")
    run_notebook(browser, lab, "upload")
    button = wait(lambda: find_all(browser, ".jupyter-button.mod-primary"), "the button")[0]
    button.click()
    wait(lambda: any("choose a picture" in label.text for label in find_all(browser, ".widget-label")), "a hint")
    # The field is outside of the page, and its click would open a window of the system: bring it in instead.
    browser.execute_script("HTMLInputElement.prototype.click = function () { document.body.appendChild(this); };")
    find_all(browser, ".jupyter-button.widget-upload")[0].click()
    wait(lambda: find_all(browser, "body > input[type=file]"), "the field for a file")[0].send_keys(str(path))
    wait(lambda: any("(1)" in b.text for b in find_all(browser, ".jupyter-button.widget-upload")), "the upload")
    button.click()
    link = wait(lambda: find_all(browser, "a[download]"), "a link")[0]
    assert link.get_attribute("download") == "found.csv"
    assert link.get_attribute("href").endswith("eCx5")
    wait(lambda: shown(browser), "the picture")
    keep(browser, "upload")
    assert complaints(browser) == []
