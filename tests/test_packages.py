"""The descriptions for Zephyr, ESP-IDF and Arduino hold to the rules of their manifests and name all files of a device.

Never here: SDKs of these systems (none is at hand), the library itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "devices/packages"
sys.path.insert(0, str(ROOT / "tools/dev"))
HEADER = (ROOT / "runtime/include/edgecl/edgecl.h").read_text()

# Stand-ins for what the systems' CMake gives a module; they note what they were handed.
ZEPHYR = """
cmake_minimum_required(VERSION 3.20)
project(stand_in LANGUAGES C CXX)
set(CONFIG_EDGECL y)
set(CONFIG_EDGECL_OPS "conv linear")
set(CONFIG_EDGECL_MESSAGES OFF)
macro(zephyr_library_named name)
  add_library(edgecl OBJECT)
endmacro()
macro(zephyr_library_sources)
  target_sources(edgecl PRIVATE ${{ARGN}})
endmacro()
macro(zephyr_library_include_directories)
  target_include_directories(edgecl PRIVATE ${{ARGN}})
endmacro()
macro(zephyr_include_directories)
  include_directories(${{ARGN}})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(edgecl PRIVATE ${{ARGN}})
endmacro()
macro(zephyr_library_compile_definitions)
  target_compile_definitions(edgecl PRIVATE ${{ARGN}})
endmacro()
add_subdirectory({folder} module)
"""
ZEPHYR_WITH_HELIUM = ZEPHYR.replace("add_subdirectory", "set(CONFIG_ARMV8_1_M_MVEI ON)\nadd_subdirectory")
ESP_IDF = """
cmake_minimum_required(VERSION 3.20)
project(stand_in LANGUAGES C CXX)
set(CONFIG_EDGECL_OPS "conv linear")
set(CONFIG_EDGECL_MESSAGES OFF)
set(COMPONENT_LIB edgecl)
function(idf_component_register)
  cmake_parse_arguments(ARG "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS" ${{ARGN}})
  add_library(edgecl OBJECT ${{ARG_SRCS}})
  target_include_directories(edgecl PUBLIC ${{ARG_INCLUDE_DIRS}} PRIVATE ${{ARG_PRIV_INCLUDE_DIRS}})
endfunction()
add_subdirectory({folder} module)
"""


@pytest.mark.parametrize(
    ("project", "folder"), [(ZEPHYR, "zephyr"), (ZEPHYR_WITH_HELIUM, "zephyr"), (ESP_IDF, "esp-idf/edgecl")]
)
def test_a_module_compiles_what_the_library_is_made_of(tmp_path: Path, project: str, folder: str) -> None:
    if not shutil.which("cmake") or not shutil.which("ninja"):
        pytest.skip("no cmake or ninja here")
    (tmp_path / "CMakeLists.txt").write_text(project.format(folder=PACKAGES / folder))
    command = ["cmake", "-G", "Ninja", "-S", str(tmp_path), "-B", str(tmp_path / "build")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ninja = (tmp_path / "build/build.ninja").read_text()
    compiled = {Path(p).relative_to(ROOT) for p in re.findall(r"CXX_COMPILER__\S+ (\S+\.cpp)", ninja)}
    rooms = ("core", "bundle", "state", "learn", "heads", "novelty", "adapt", "api")
    sources = [p for room in rooms for p in (ROOT / "runtime" / room).rglob("*.cpp")]
    expected = {p.relative_to(ROOT) for p in sources if not p.name.startswith("bundle_writer")}
    expected |= {p.relative_to(ROOT) for p in (ROOT / "kernels").glob("*.cpp")}
    helium = project is ZEPHYR_WITH_HELIUM
    assert ("EDGECL_HAS_MVE" in ninja) == helium
    of_kernels = ("reference", "sparse", "plan", "dsp", *(["mve"] if helium else []))
    scalar = [p for room in of_kernels for p in (ROOT / "kernels" / room).glob("*.cpp")]
    expected |= {p.relative_to(ROOT) for p in scalar}
    assert compiled == expected
    assert "-ffp-contract=off" in ninja and "EDGECL_REFERENCE_ONLY" in ninja and "EDGECL_NO_MESSAGES" in ninja
    assert "EDGECL_BUILT_OPS" in ninja and "conv linear" in ninja
    one = next(line.split(":")[0].removeprefix("build ") for line in ninja.splitlines() if "op_rule.cpp" in line)
    done = subprocess.run(["ninja", "-C", str(tmp_path / "build"), one], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_zephyr_module_has_the_keys_of_the_schema() -> None:
    text = (PACKAGES / "zephyr/zephyr/module.yml").read_text()
    assert re.search(r"^name: edgecl$", text, re.MULTILINE)
    for key, file in (("cmake", "CMakeLists.txt"), ("kconfig", "Kconfig")):
        (value,) = re.findall(rf"^  {key}: (\S+)$", text, re.MULTILINE)
        target = PACKAGES / "zephyr" / value
        assert (target / file if target.is_dir() else target).exists()


def test_versions_are_those_of_the_header() -> None:
    import arduino_library

    text = (PACKAGES / "esp-idf/edgecl/idf_component.yml").read_text()
    assert f'version: "{arduino_library.version(HEADER)}"' in text


def test_arduino_library_has_what_its_specification_asks_for(tmp_path: Path) -> None:
    import arduino_library

    archive = tmp_path / "build/cortex-m7/runtime/libedgecl.a"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"!<arch>\n")
    assert arduino_library.assemble(tmp_path / "edgecl", tmp_path / "build") == ["cortex-m7"]
    lines = (tmp_path / "edgecl/library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(properties)
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert (tmp_path / "edgecl/src" / properties["includes"]).exists()
    assert properties["precompiled"] == "full" and properties["ldflags"] == "-ledgecl"
    assert (tmp_path / "edgecl/src/cortex-m7/fpv5-sp-d16-hard/libedgecl.a").exists()
    assert (tmp_path / "edgecl/examples/LearnOnline/LearnOnline.ino").exists()


def test_the_sketch_compiles_against_the_header(tmp_path: Path) -> None:
    compiler = shutil.which("arm-none-eabi-g++")
    if not compiler:
        pytest.skip("no arm-none-eabi-g++ here")
    (tmp_path / "model.h").write_text("static const unsigned char model[64] __attribute__((aligned(64))) = {0};\n")
    (tmp_path / "edgecl.h").write_text('#include "edgecl/edgecl.h"\n')
    serial = """
    #include <stddef.h>
    #include <stdint.h>
    struct SerialPort {
      void begin(long); void print(const char*); void print(int); void print(long); void print(char);
      void println(const char*);
      void println(double, int); int available(); int peek(); int read(); long parseInt(); float parseFloat();
    };
    extern SerialPort Serial;
    void delay(unsigned long);
    """
    sketch = (PACKAGES / "arduino/examples/LearnOnline/LearnOnline.ino").read_text()
    (tmp_path / "sketch.cpp").write_text(serial + sketch)
    command = [compiler, "-mcpu=cortex-m7", "-mthumb", "-std=gnu++17", "-Wall", "-Werror", "-fsyntax-only"]
    command += ["-I", str(tmp_path), "-I", str(ROOT / "runtime/include"), str(tmp_path / "sketch.cpp")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
