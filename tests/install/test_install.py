#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary user builds and installs the project, and uses what is there.

    test_install.py trace-ckpts=PATH root=FOLDER hdf5-headers=FOLDER cc=COMPILER

Root makes the user, copies the sources to them, and leaves the rest to them: HDF5 lies in a folder that
CMake alone is told of (a package file, no pkg-config file, no h5cc), the prefix is in their home. Exit 77
with a sentence where no user can be made.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import harness  # noqa: E402
from harness import check  # noqa: E402

PROGRAMS = ("trace-ckpts", "trace-info", "trace-analyze", "trace-eval", "trace-export",
            "trace-merge", "trace-quant", "trace-drop")
PAGES = (*PROGRAMS[:-1], "trace-drop-write")
SOURCES_LEFT_OUT = ("build", "tests", ".git", ".venv", ".fixtures", ".debs", "__pycache__")
# As HDF5's own package file says where it is.
HDF5_PACKAGE = """
set(HDF5_VERSION {version})
set(HDF5_ENABLE_PARALLEL OFF)
set(HDF5_INCLUDE_DIR {folder}/include)
foreach(name hdf5 hdf5_hl)
  add_library(${{name}}-shared SHARED IMPORTED)
  set_target_properties(${{name}}-shared PROPERTIES IMPORTED_CONFIGURATIONS RELEASE
    IMPORTED_LOCATION_RELEASE {folder}/lib/lib${{name}}.so
    INTERFACE_INCLUDE_DIRECTORIES {folder}/include)
endforeach()
"""
HDF5_PACKAGE_VERSION = """
set(PACKAGE_VERSION {version})
set(PACKAGE_VERSION_COMPATIBLE TRUE)
"""


def skip(sentence):
    print(f"skipped: {sentence}")
    sys.exit(77)


@contextlib.contextmanager
def ordinary_user():
    """A user who is gone afterwards, with a home of their own."""
    if os.geteuid() != 0:
        skip("only root can make the ordinary user that this test installs as")
    if not shutil.which("useradd"):
        skip("there is no useradd to make the ordinary user that this test installs as")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trace-install-"))
    folder.chmod(0o755)
    name = f"trace{os.getpid()}"
    made = subprocess.run(["useradd", "--create-home", "--home-dir", folder / "home", name],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(folder)
        skip(f"useradd made no user: {made.stderr.strip()}")
    try:
        yield name, folder
    finally:
        subprocess.run(["userdel", name], capture_output=True, check=False)
        shutil.rmtree(folder)


class Installation:
    def __init__(self, arguments, user, folder):
        self.arguments, self.user, self.folder = arguments, user, folder
        self.root, self.home = pathlib.Path(arguments["root"]), folder / "home"
        self.prefix, self.hdf5 = self.home / "prefix", folder / "hdf5"
        self.store = self.home / "trace.h5"

    def run(self, *command, **more):
        """As the user, with nothing of the caller's environment."""
        search = f"{self.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        env = {"HOME": str(self.home), "PATH": search, "LC_ALL": "C.UTF-8", "USER": self.user,
               "OMP_NUM_THREADS": "1", "PKG_CONFIG_LIBDIR": str(self.folder / "pkgconfig"), **more}
        command = [str(word) for word in command]
        done = subprocess.run(command, env=env, cwd=self.home, user=self.user, group=self.user,
                              extra_groups=[], text=True, capture_output=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=500)
        return harness.Result(command, done.returncode, done.stdout, done.stderr)

    # ---- what root prepares --------------------------------------------------------------------

    def copy_sources(self):
        shutil.copytree(self.root, self.home / "source",
                        ignore=lambda folder, names: set(names) & set(SOURCES_LEFT_OUT))
        shutil.copytree(self.root / "tests/series/demo", self.home / "series")

    def move_hdf5(self):
        """Headers and libraries of the HDF5 that the build uses, with a package file for CMake."""
        headers = pathlib.Path(self.arguments["hdf5-headers"])
        version = re.search(r'H5_VERSION "([\d.]+)', (headers / "H5pubconf.h").read_text())[1]
        shutil.copytree(headers, self.hdf5 / "include")
        (self.hdf5 / "lib").mkdir()
        loaded = harness.run("ldd", self.arguments["trace-ckpts"]).expect(0).out
        for name, path in re.findall(r"(libhdf5\S+) => (\S+)", loaded):
            shutil.copy(path, self.hdf5 / "lib" / name)
            plain = "libhdf5_hl.so" if "hl" in name else "libhdf5.so"
            (self.hdf5 / "lib" / plain).symlink_to(name)
        (self.hdf5 / "cmake").mkdir()
        for name, text in (("", HDF5_PACKAGE), ("-version", HDF5_PACKAGE_VERSION)):
            (self.hdf5 / f"cmake/hdf5-config{name}.cmake").write_text(
                text.format(version=version, folder=self.hdf5))

    def hide_pkgconfig(self):
        """A folder of links to all of the system's pkg-config files but HDF5's."""
        links = self.folder / "pkgconfig"
        links.mkdir()
        places = harness.run("pkg-config", "--variable", "pc_path", "pkg-config").expect(0).out
        for place in places.strip().split(":"):
            for file in pathlib.Path(place).glob("*.pc"):
                if not file.name.startswith("hdf5") and not (links / file.name).exists():
                    (links / file.name).symlink_to(file)

    def write_program(self):
        """A program of the user's own, as docs/library.md has it."""
        page = (self.root / "docs/library.md").read_text(encoding="utf-8")
        folder = self.home / "names"
        folder.mkdir()
        for language, name in (("c", "names.c"), ("cmake", "CMakeLists.txt")):
            text = re.search(rf"^```{language}\n(.*?)^```", page, re.M | re.S)[1]
            (folder / name).write_text(text)

    # ---- what the user does --------------------------------------------------------------------

    def install(self):
        self.copy_sources()
        self.move_hdf5()
        self.hide_pkgconfig()
        self.write_program()
        subprocess.run(["chown", "-R", f"{self.user}:", self.home], check=True)
        self.build()

    def build(self):
        """Without optimisation, which is not what is asked here."""
        check(self.run("pkg-config", "--exists", "hdf5").code, "pkg-config knows HDF5")
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        self.run("cmake", "-S", "source", "-B", "build", *generator, "-DCMAKE_BUILD_TYPE=Debug",
                 f"-DCMAKE_C_COMPILER={self.arguments['cc']}", "-DCMAKE_C_FLAGS=-g0",
                 "-DTRACE_CUDA=OFF", "-DBUILD_TESTING=OFF",
                 f"-DCMAKE_PREFIX_PATH={self.hdf5}").expect(0)
        self.run("cmake", "--build", "build", "-j", "2").expect(0)
        self.run("cmake", "--install", "build", "--prefix", self.prefix).expect(0)
        shutil.rmtree(self.home / "build")  # what is installed needs no build folder

    def programs_run(self):
        for program in PROGRAMS:
            self.run(program, "--version").expect(0)
            self.run(program, "--help").expect(0)
        self.run("trace-ckpts", "--ckpts", "series/step_0", "series/step_1024", "--tokens",
                 "series/tokens.npy", "--samples", "2", "-o", self.store,
                 OMPI_MCA_btl="self", OMPI_MCA_pml="ob1").expect(0)
        for command in (["trace-info", "--check", self.store], ["trace-analyze", self.store],
                        ["trace-export", self.store, "--to", "csv", "-o", "trace.csv"]):
            self.run(*command).expect(0)
        self.run("trace-drop", "write", "series/step_0", "--drop", "block:1", "--as", "smaller", "-o",
                 "smaller").expect(0)

    def libraries_are_found(self):
        """HDF5 from where CMake was told of it, by what the programs say themselves."""
        for file in (*(self.prefix / "bin").iterdir(), *self.prefix.glob("lib*/**/libtrace*.so")):
            needed = self.run("ldd", file).expect(0).out
            check("not found" not in needed, file, "lacks a library:", needed)
            hdf5 = re.findall(r"libhdf5\S+ => (\S+)", needed)
            check(all(path.startswith(f"{self.hdf5}/lib/") for path in hdf5),
                  file, "takes another HDF5:", needed)
            check(hdf5, file, "opens stores without HDF5:", needed)
            run_path = self.run("readelf", "-d", file).expect(0).out
            check("/build" not in run_path, file, "looks into the build's folder:", run_path)

    def manuals_open(self):
        pages = self.prefix / "share/man"
        if not re.match(r"man \d", self.run("man", "--version").out if shutil.which("man") else ""):
            return "no man here"
        for program in PAGES:
            page = self.run("man", program, MANPATH=str(pages), MANPAGER="cat").expect(0)
            check("EXIT STATUS" in page.out and not page.err, "the page is not whole:", page)
        return None

    def completions_load(self):
        for program in PROGRAMS:
            file = self.prefix / "share/bash-completion/completions" / program
            said = self.run("bash", "-c", f"source {file} && complete -p {program}").expect(0)
            check(program in said.out, "no completion:", said)

    def plugin_serves(self):
        if not shutil.which("h5dump"):
            return "no h5dump here"
        folder, = self.prefix.glob("lib*/**/hdf5/plugin")
        self.run("h5dump", "-d", "importance", self.store,
                 HDF5_PLUGIN_PATH=str(folder)).expect(0)
        return None

    def papers_are_there(self):
        for name in ("share/trace-ckpts/result.schema.json", "share/trace-ckpts/export.schema.json",
                     "share/doc/trace-ckpts/LICENSE"):
            check((self.prefix / name).is_file(), name, "is not installed")
        for path in self.prefix.rglob("*"):
            check(path.owner() == self.user, path, "is not the user's")

    def module_loads(self):
        """The module file, read by a Tcl that knows its words: every folder that it names is there."""
        if not shutil.which("tclsh"):
            return "no tclsh here"
        file, = (self.prefix / "share/modulefiles/trace-ckpts").iterdir()
        words = ("proc module-whatis args {}; proc conflict args {}; proc say {name path} {puts $path}\n"
                 "interp alias {} prepend-path {} say; interp alias {} setenv {} say\n"
                 f"set ModulesCurrentModulefile {file}; source {file}\n")
        (self.folder / "load.tcl").write_text(words)
        told = self.run("tclsh", self.folder / "load.tcl").expect(0).out.split()
        check(len(told) == 6 and all(pathlib.Path(path).is_dir() for path in told), told)
        check(sorted(pathlib.Path(told[-1]).iterdir()), "no recipes in", told[-1])
        return None

    def names(self, program):
        said = self.run(program, self.store).expect(0)
        check(said.out == "step_0\nstep_1024\n", "the names are others:", said)
        self.run(program, "series/tokens.npy").expect(2)

    def pkg_config_builds(self):
        files, = self.prefix.glob("lib*/**/pkgconfig")
        self.run("pkg-config", "--exists", "trace-ckpts", PKG_CONFIG_PATH=str(files)).expect(0)
        flags = self.run("pkg-config", "--cflags", "--libs", "trace-ckpts",
                         PKG_CONFIG_PATH=str(files)).expect(0).out.split()
        self.run(self.arguments["cc"], "-Wall", "-Wextra", "-Werror", "names/names.c", *flags,
                 f"-Wl,-rpath,{files.parent}", "-o", "names/by-pkg-config").expect(0)
        self.names("names/by-pkg-config")

    def find_package_builds(self):
        self.run("cmake", "-S", "names", "-B", "names/build",
                 f"-DCMAKE_PREFIX_PATH={self.prefix}").expect(0)
        self.run("cmake", "--build", "names/build").expect(0)
        self.names("names/build/names")

    def promises_are_kept(self):
        """What the reader's header declares is exported, and what writes is not."""
        header = (self.prefix / "include/trace-ckpts/store/trace.h").read_text(encoding="utf-8")
        declared = set(re.findall(r"\b(tr_trace_\w+)\(", header))
        library, = self.prefix.glob("lib*/**/libtrace-ckpts-store.so")
        exported = set(re.findall(r" [A-Z] (\w+)", self.run("nm", "-D", "--defined-only",
                                                           library).expect(0).out))
        check(len(declared) > 10 and declared <= exported, "not exported:", declared - exported)
        check(not any(re.match("tr_(store|writer|alloc|file)_", name) for name in exported),
              "exported, though nobody promises it:", exported)


CASES = ("programs_run", "libraries_are_found", "manuals_open", "completions_load", "plugin_serves",
         "papers_are_there", "module_loads", "pkg_config_builds", "find_package_builds",
         "promises_are_kept")


def main():
    arguments = dict(word.split("=", 1) for word in sys.argv[1:])
    with ordinary_user() as (user, folder):
        installation = Installation(arguments, user, folder)
        if harness.run_cases([("install", installation.install)]):
            return 1
        return harness.run_cases([(name, getattr(installation, name)) for name in CASES])


if __name__ == "__main__":
    sys.exit(main())
