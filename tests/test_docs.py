"""The pages: links lead somewhere, commands name scripts and options that there are, the README stays one page."""

import re
from functools import cache

import pytest

from tests.conftest import ROOT
from tests.helpers.script_tools import run_here

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(page):
    """What GitHub calls the headings of a page, code blocks left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@cache
def help_of(script):
    process = run_here(script, "--help")
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_name_scripts_and_options_that_there_are(page):
    text = page.read_text().replace("\\\n", " ")
    for script, rest in re.findall(r"python\s+((?:\w+/)?\w+\.py)([^`\n#|]*)", text):
        assert (ROOT / script).exists(), f"{page.name}: {script}"
        options = re.findall(r"(?<=\s)--\w[\w-]*", rest.partition(" -- ")[0])
        if options:
            for option in options:
                assert re.search(rf"{option}\b", help_of(script)), f"{page.name}: {script} {option}"


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 170
