"""The one part that is compiled; where no C compiler is, the installation goes on without it."""

from pathlib import Path

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "dicombq.rows.native",
            ["dicombq/rows/native.pyx"],
            depends=[str(path) for path in sorted(Path("dicombq/rows").glob("*.pxi"))],
            extra_compile_args=["-g0"],
            optional=True,
        )
    ]
)
