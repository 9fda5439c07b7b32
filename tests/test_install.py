"""`cmake --install` gives what C and C++ programs need, found by CMake and pkg-config, shared and static.

Never here: the C API's behaviour (tests/c_api).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host"))

# Strict C99 and C++17; a few words that are no bundle must be refused with a sentence, not with a crash.
PROGRAM = """
#include <edgecl/edgecl.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  unsigned char junk[4096];
  edgecl_model_info info;
  edgecl_error error;
  memset(junk, 7, sizeof junk);
  memset(&info, 0, sizeof info);
  memset(&error, 0, sizeof error);
  info.struct_size = sizeof info;
  error.struct_size = sizeof error;
  if (edgecl_version_number() != EDGECL_VERSION_NUMBER) return 1;
  if (edgecl_bundle_peek(junk, sizeof junk, &info, &error) != EDGECL_E_BUNDLE_CORRUPT) return 2;
  if (error.message[0] == 0) return 3;
  puts(edgecl_build_info());
  return 0;
}
"""
CMAKE_PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES {language})
find_package(edgecl 0.1 REQUIRED)
add_executable(consumer main.{suffix})
set_target_properties(consumer PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF CXX_STANDARD 17 CXX_EXTENSIONS OFF)
target_compile_options(consumer PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_link_libraries(consumer PRIVATE {target})
"""


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Runs a command and gives its output; a failure shows what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cmake"):
        pytest.skip("no cmake here")
    if not (BUILD / "runtime/libedgecl.so").exists():
        pytest.skip(f"no build in {BUILD}: run cmake --preset host && cmake --build --preset host, or set EDGECL_BUILD")
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", BUILD, "--prefix", folder, "--strip")
    return folder


def test_the_prefix_holds_header_libraries_and_runner(prefix: Path) -> None:
    assert (prefix / "include/edgecl/edgecl.h").exists()
    assert list(prefix.rglob("libedgecl.a")) and list(prefix.rglob("libedgecl.so"))
    assert (prefix / "bin/edgecl-run").exists()
    assert not list(prefix.rglob("*kernels*")), "one archive is all that firmware links"


@pytest.mark.parametrize("target", ["edgecl::edgecl", "edgecl::static"])
@pytest.mark.parametrize(("language", "suffix"), [("C", "c"), ("CXX", "cpp")])
def test_find_package(prefix: Path, tmp_path: Path, target: str, language: str, suffix: str) -> None:
    (tmp_path / f"main.{suffix}").write_text(PROGRAM)
    project = CMAKE_PROJECT.format(language=language, suffix=suffix, target=target)
    (tmp_path / "CMakeLists.txt").write_text(project)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    assert "edgecl" in run(tmp_path / "build/consumer")


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
@pytest.mark.parametrize(("compiler", "standard", "suffix"), [("cc", "-std=c99", "c"), ("c++", "-std=c++17", "cpp")])
def test_pkg_config(prefix: Path, tmp_path: Path, compiler: str, standard: str, suffix: str, static: bool) -> None:
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config here")
    file = next(prefix.rglob("edgecl.pc"))
    wanted = ["--cflags", "--libs", *(["--static"] if static else [])]
    flags = run("pkg-config", *wanted, "edgecl", PKG_CONFIG_PATH=str(file.parent)).split()
    if static:
        flags = [str(next(prefix.rglob("libedgecl.a"))) if flag == "-ledgecl" else flag for flag in flags]
    source = tmp_path / f"main.{suffix}"
    source.write_text(PROGRAM)
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    run(compiler, standard, *warnings, source, "-o", tmp_path / "main", *flags)
    folder = str(next(prefix.rglob("libedgecl.so")).parent)
    assert "edgecl" in run(tmp_path / "main", LD_LIBRARY_PATH=folder)


def test_the_examples_for_robots_learn(prefix: Path, tmp_path: Path) -> None:
    bundle = ROOT / "devices/firmware/bundles/activity_small.ecl"  # 192 numbers in
    run("cmake", "-S", ROOT / "devices/examples", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    said = run(tmp_path / "build/control_loop", bundle, "1")
    right, judged = map(int, re.findall(r"right in the second half: (\d+) of (\d+)", said)[0])
    assert judged == 50 and right >= 40, said
    rows = [f"{i % 3}," + ",".join(f"{i % 3 + (7 * i + 3 * j) % 11 / 11:.3f}" for j in range(192)) for i in range(150)]
    lines, program = "\n".join([*rows, "no number,1", "?,1"]) + "\n", tmp_path / "build/sensor_stream"
    shares = []
    for _ in range(2):  # the second run goes on from the state of the first
        done = subprocess.run([program, bundle, tmp_path / "s.ecs"], input=lines, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("the line is left out") == 2 and len(done.stdout.splitlines()) == 150
        shares.append(int(re.findall(r"(\d+) of 150 right", done.stderr)[0]))
    assert shares[1] > shares[0], shares


def test_the_version_is_that_of_the_header(prefix: Path) -> None:
    header = (prefix / "include/edgecl/edgecl.h").read_text()
    numbers = [
        line.split()[2]
        for part in ("MAJOR", "MINOR", "PATCH")
        for line in header.splitlines()
        if line.startswith(f"#define EDGECL_VERSION_{part} ")
    ]
    assert f"Version: {'.'.join(numbers)}" in next(prefix.rglob("edgecl.pc")).read_text()
