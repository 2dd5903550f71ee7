"""Error of fused poses over the longest wait for a camera that is behind.

python -m tests.benchmarks.fusion_waits [--scenes 2]
"""

import argparse

from langpose_rt.fusion.volume import VolumeConfig
from tests.benchmarks.fusion_accuracy import mean_error_mm
from tests.benchmarks.fusion_scenes import CameraTiming
from tests.benchmarks.origin import print_report

WAITS_MS = (0.0, 10.0, 20.0, 40.0)
CASES = {
    "2 cameras, half a frame apart": (2, CameraTiming(phase_s=0.008)),
    "2 cameras, one of 30 Hz, 8 ms later": (
        2,
        CameraTiming(rate_hz=30.0, phase_s=0.005, delay_s=0.008),
    ),
    "2 cameras, one 33 ms later": (2, CameraTiming(delay_s=0.033)),
    "4 cameras, one 33 ms later": (4, CameraTiming(delay_s=0.033)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    report: dict[str, object] = {"waits ms": list(WAITS_MS)}
    for name, (cameras, timing) in CASES.items():
        report[f"{name}: error mm"] = [
            mean_error_mm(
                arguments.scenes, cameras, 1, VolumeConfig(wait_ms=wait), timing={"cam1": timing}
            )
            for wait in WAITS_MS
        ]
    print_report("fusion_waits", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
