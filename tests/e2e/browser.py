"""A real Chromium, steered by chromedriver; what it complains of is a failure."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from .processes import PATIENCE, eventually

_T = TypeVar("_T")

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # a container's root has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE: Final = (1280, 900)
PHONE: Final = (360, 740)


class Browser:
    """A browser with one tab. It is steered from threads, so that the loop can serve meanwhile."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    async def do(self, act: Callable[[Chrome], _T]) -> _T:
        """Let the driver do something."""
        return await asyncio.to_thread(act, self._driver)

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.do(lambda driver: driver.get(url))

    async def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page, and give what it returns."""
        return await self.do(lambda driver: driver.execute_script(script, *arguments))

    async def command(self, name: str, **parameters: object) -> Mapping[str, Any]:
        """Send a command of the DevTools protocol."""
        answer: Mapping[str, Any] = await self.do(
            lambda driver: driver.execute_cdp_cmd(name, parameters)
        )
        return answer

    async def until(self, script: str, *arguments: object, within: float = PATIENCE) -> Any:
        """Wait until a script's value is truthy, and give it."""
        return await eventually(
            lambda: self.run(f"return {script}", *arguments), script, within=within
        )

    async def texts(self, selector: str) -> list[str]:
        """Give what a person reads in the elements that a CSS selector finds."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())"
        texts: list[str] = await self.run(script, selector)
        return texts

    async def find(self, selector: str) -> WebElement:
        """Give the first element that a CSS selector finds."""
        return await self.do(lambda driver: driver.find_element(By.CSS_SELECTOR, selector))

    async def click(self, selector: str) -> None:
        """Click on it."""
        element = await self.find(selector)
        await self.do(lambda _: element.click())

    async def type(self, selector: str, keys: str) -> None:
        """Press keys in it."""
        element = await self.find(selector)
        await self.do(lambda _: element.send_keys(keys))

    async def scripting(self, on: bool) -> None:
        """Let pages run scripts, or not."""
        await self.command("Emulation.setScriptExecutionDisabled", value=not on)

    async def size(self, size: tuple[int, int], *, dark: bool = False) -> None:
        """Be a window of this size in pixels, on a dark screen or a light one."""
        width, height = size
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < WIDE[0] // 2,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a screenshot as PNG: of the window, or of the whole page."""
        shot = await self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    async def complaints(self) -> list[str]:
        """Give what the console was told since the last time, violations of policy included."""
        entries = await self.do(lambda driver: driver.get_log("browser"))  # type: ignore[no-untyped-call]  # not annotated there
        return [f"{entry['level']}: {entry['message']}" for entry in entries]


@asynccontextmanager
async def browser(chromium: str, chromedriver: str, directory: Path) -> AsyncIterator[Browser]:
    """Run a browser with an empty profile as long as the block lasts."""
    driver = await asyncio.to_thread(_start, chromium, chromedriver, directory)
    try:
        yield Browser(driver)
    finally:
        await asyncio.to_thread(driver.quit)


def _start(chromium: str, chromedriver: str, directory: Path) -> Chrome:
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={directory / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=chromedriver))
    driver.set_page_load_timeout(PATIENCE)
    return driver
