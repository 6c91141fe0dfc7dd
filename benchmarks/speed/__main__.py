"""Speed and memory against the minimum of the work and against PyTorch, in one run.

    python -m benchmarks.speed [--only step headline seeds weights memory]

Every section runs in a process of its own, on all cores. Writes benchmarks/results/speed.md and
speed.csv. Ratios carry over to another machine, times do not.
"""

from benchmarks.speed.harness import main
from benchmarks.speed.scaling import section_memory, section_seeds, section_weights
from benchmarks.speed.shapes import section_headline, section_step

SECTIONS = {
    "step": section_step,
    "headline": section_headline,
    "seeds": section_seeds,
    "weights": section_weights,
    "memory": section_memory,
}

if __name__ == "__main__":
    main("benchmarks.speed", "speed", "Speed", __doc__, SECTIONS)
