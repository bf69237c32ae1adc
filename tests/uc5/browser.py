"""A real browser without a window, for pages that compute in it; and whether there is one here."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
)  # fmt: skip


def missing() -> str:
    """Why no browser test can run here; empty where it can."""
    return ", ".join(f"no {name} on the PATH" for name in ("chromium", "chromedriver") if not shutil.which(name))


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own, ended with the block."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    profile = tempfile.mkdtemp(prefix="chromium-")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def open_page(driver: Any, path: Path) -> None:
    """Open a file and refuse any complaint of the browser's, such as a request that the page's policy forbids."""
    driver.get(path.as_uri())
    complaints = driver.get_log("browser")
    assert complaints == [], complaints
