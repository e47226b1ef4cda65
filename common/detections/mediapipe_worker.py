"""The detector's own process: pictures come in, MediaPipe's landmarks go out, one person's at most.

`common.detections.detector` runs this file by its path, with the Python of an environment that has MediaPipe, whose versions of
packages the project does not want: so nothing of the project is imported here, and Python 3.9 will do.

- stdin: a line {"width", "height"}, then pictures, height * width * 3 bytes of RGB each;
- stdout: a line {"name", "version"}, or {"error"} and the end; then a line for each picture: the 33 landmarks [x, y, z, visibility]
  in pixels (z: towards the camera is negative, from the hip, roughly in pixels), or null where nobody is found.
"""

import json
import os
import sys


def main() -> None:
    sys.path.pop(0)  # this folder: its modules are none of MediaPipe's
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(content: object) -> None:
        print(json.dumps(content), file=answers, flush=True)

    try:
        import mediapipe
        import numpy

        # Complexity 1: the one whose weights the wheel holds. It follows the person that it has found, and smooths in time.
        pose = mediapipe.solutions.pose.Pose(model_complexity=1)
    except (ImportError, AttributeError) as error:  # not installed, a library that it lacks, a version without this API
        answer({"error": f"{type(error).__name__}: {error}"})
        return
    answer({"name": "MediaPipe", "version": getattr(mediapipe, "__version__", "unknown")})
    size = json.loads(sys.stdin.buffer.readline())
    width, height = size["width"], size["height"]
    while len(picture := sys.stdin.buffer.read(height * width * 3)) == height * width * 3:
        found = pose.process(numpy.frombuffer(picture, numpy.uint8).reshape(height, width, 3)).pose_landmarks
        answer(found and [_in_pixels(landmark, width, height) for landmark in found.landmark])


def _in_pixels(landmark, width, height):  # type: ignore[no-untyped-def]
    """Of shares of the picture; z is in shares of its width."""
    places = (landmark.x * width, landmark.y * height, landmark.z * width)
    return [*(round(place, 2) for place in places), round(landmark.visibility, 4)]


if __name__ == "__main__":
    main()
