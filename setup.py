"""Package list of jitgraph; everything else is declared in pyproject.toml.

``csrc/`` lies beside ``src/`` but is installed as ``jitgraph.csrc``, so that an installed wheel
carries the C headers. A found list and a mapped one cannot be joined in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("src"), "jitgraph.csrc"],
    package_dir={"": "src", "jitgraph.csrc": "csrc"},
)
