"""The HTML page as a browser runs it: its script with the few parts of a browser that it touches, in node."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from common.rendering.page import page
from common.rendering.scene import Panel, Scene

BROWSER = """
const listeners = {}, elements = {}, frames = [];
function addTo(target, kind, handler) { ((target.handlers ||= {})[kind] ||= []).push(handler); }
function make(tag, id) {
  return {
    tag, id, style: {}, value: id === "speed" ? "1" : "0", blurred: 0, blur() { this.blurred++; }, append() {}, remove() {},
    addEventListener(kind, handler) { addTo(this, kind, handler); }, matches(tags) { return tags.split(", ").includes(tag); },
    getContext: () => new Proxy({}, { get: () => () => {}, set: () => true }),
  };
}
const TAGS = { play: "button", reset: "button", time: "input", speed: "select" };
const document = {
  getElementById: id => elements[id] ||= id === "data" ? { textContent: DATA } : make(TAGS[id] || "span", id),
  createElement: tag => make(tag),
};
const window = { addEventListener: (kind, handler) => addTo(window, kind, handler), devicePixelRatio: 1 };
function requestAnimationFrame(callback) { frames.push(callback); }
function send(target, kind, event = {}) {
  event = { target, type: kind, prevented: false, preventDefault() { this.prevented = true; }, ...event };
  for (const handler of target.handlers?.[kind] || []) handler(event);
  if (target !== window) for (const handler of window.handlers?.[kind] || []) handler(event);
  return event;
}
// A key that is pressed on what has the focus: unless the page prevents it, a button is clicked by a space, a slider moved by an arrow.
function press(target, key) {
  const prevented = send(target, "keydown", { key }).prevented, released = send(target, "keyup", { key }).prevented;
  if (key === " " && target.tag === "button" && !prevented && !released) send(target, "click");
  if (key === "ArrowRight" && target.tag === "input" && !prevented) { target.value = Number(target.value) + 1; send(target, "input"); }
}
"""


@pytest.fixture(scope="module")
def script():
    """The page's script after a browser's parts, to be asked by what is added to it."""
    poses = np.random.default_rng(0).normal(size=(9, 16, 3))
    return script_of(Scene("2D", np.full((9, 16, 2), 5.0) + np.arange(16)[:, None], (10, 10), (Panel("a", poses),), 30.0))


def script_of(scene):
    text = page(scene, inches=3)
    data, code = re.search(r'type="application/json">(.*?)</script>\s*<script>(.*?)</script>', text, re.DOTALL).groups()
    return f"const DATA = {json.dumps(data)};\n{BROWSER}\n{code.replace(chr(34) + 'use strict' + chr(34) + ';', '')}\n"


def ask(script, questions):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    process = subprocess.run(["node", "-"], input=script + questions, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_keys_work_whatever_has_the_focus(script):
    said = ask(
        script,
        """
        const told = {};
        for (const id of ["play", "reset", "time", "body"]) {
          const target = document.getElementById(id);
          go(3); setPlaying(true); view.azimuth = 77;
          press(target, " ");
          const paused = !playing;
          press(target, " ");
          const again = playing;
          press(target, "ArrowRight"); press(target, "ArrowRight"); press(target, "ArrowLeft");
          told[id] = [paused, again, time, playing, view.azimuth];
        }
        console.log(JSON.stringify(told));
        """,
    )
    # Stopped, going on, one frame further, and the view as it was: no key presses the button that has the focus.
    assert said == {id: [True, True, 4, False, 77] for id in ("play", "reset", "time", "body")}


def test_the_list_of_speeds_keeps_its_keys_until_it_was_clicked(script):
    said = ask(
        script,
        """
        const speed = document.getElementById("speed");
        go(3);
        press(speed, "ArrowRight"); press(speed, " "); send(speed, "change");
        const chosen = [time, playing, speed.blurred];
        send(window, "pointerdown"); send(speed, "change");
        console.log(JSON.stringify([...chosen, speed.blurred]));
        """,
    )
    assert said == [3, False, 0, 1]


def test_a_mouse_still_plays_resets_and_scrubs(script):
    said = ask(
        script,
        """
        const [play, reset, slider] = ["play", "reset", "time"].map(id => document.getElementById(id));
        view.azimuth = 77; send(reset, "click");
        send(play, "click"); const paused = !playing;
        slider.value = "6"; send(slider, "input");
        console.log(JSON.stringify([view.azimuth === data.view.azimuth, paused, time]));
        """,
    )
    assert said == [True, True, 6]


def test_on_a_narrow_screen_the_panels_shrink_and_the_controls_stay_in_sight():
    scene = Scene("2D", np.random.default_rng(0).uniform(size=(1, 16, 2)), (10, 10), (Panel("a", np.zeros((1, 16, 3))),), 30.0)
    style = re.search(r"<style>(.*?)</style>", page(scene, inches=20), re.DOTALL)[1]
    general, narrow = style.split("@media (max-width: 700px)")
    assert re.search(r"canvas { [^}]*max-width: 100%", general)
    assert re.search(r"figure { [^}]*max-width: 100%", general)
    assert "touch-action: none" not in style  # a finger on a panel must be able to move the page
    assert re.search(r"#controls { position: sticky; bottom: 0;[^}]*background: #fff", narrow)
    assert re.search(r"#panels figure { width: calc\(50% - 4px\)", narrow)


def test_people_who_are_there_are_drawn_the_furthest_first_with_their_names():
    poses = np.random.default_rng(0).normal(size=(2, 2, 16, 3))
    poses[:, 1, :, 1] += 20  # far behind the first
    poses[1, 0] = np.nan
    joints = np.where(np.isnan(poses[..., :2]), np.nan, np.abs(poses[..., :2]))
    scene = Scene("2D", joints, (10, 10), (Panel("a", poses),), 30.0, people=("4", "17"))
    said = ask(
        script_of(scene),
        """
        const names = [];
        function told(index) {
          names.length = 0;
          const pen = new Proxy({}, { get: (_, name) => name === "fillText" ? text => names.push(text) : () => {}, set: () => true });
          const canvas = { getContext: () => pen };
          drawInput(canvas, index);
          names.push("|");
          drawPanel(canvas, data.panels[0], index);
          return names.join(" ");
        }
        console.log(JSON.stringify([told(0), told(1), data.floor > 20, data.view.distance > 30]));
        """,
    )
    assert said == ["4 17 | 17 4", "17 | 17", True, True]
