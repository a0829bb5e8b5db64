#!/usr/bin/env python3
"""`./dev setup` on machines that this one is not: a PATH of its own with an apt and a dpkg-query made for the test."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAIN_TOOLS = ("bash", "dirname", "sed", "awk", "sort", "head", "cat", "uname", "env", "tr", "chmod")
BUILD_TOOLS = {"g++": "g++", "cmake": "cmake", "ninja-build": "ninja", "pkg-config": "pkg-config", "ccache": "ccache",
               "python3": "python3"}
BOOKWORM = "libboost-regex-dev libboost-regex1.74-dev libboost-regex1.74.0 libboost-regex1.81-dev libboost-regex1.81.0"
NOBLE = "libboost-regex-dev libboost-regex1.74-dev libboost-regex1.83-dev libboost-regex1.83.0"
JAMMY = "libboost-regex-dev libboost-regex1.74-dev"

DPKG_QUERY = r"""
for argument in "$@"; do
    case $argument in -W) ;; -f=*) format=$argument ;; *) patterns+=("$argument") ;; esac
done
status=0
for pattern in "${patterns[@]}"; do
    hit=no
    while read -r package; do
        [[ $package == $pattern ]] || continue
        hit=yes
        case $format in *Status*) printf '%s=installed ' "$package" ;; *) printf '%s\n' "$package" ;; esac
    done <"$MACHINE/installed"
    [ $hit = yes ] || status=1
done
exit $status
"""

APT_GET = r"""
echo "$*" >>"$MACHINE/apt-get.log"
[ "$1" = install ] || exit 0
[ -n "$NETWORK" ] || { echo "E: Unable to fetch some archives" >&2; exit 100; }
shift
for argument in "$@"; do
    case $argument in
        -*) ;;
        g++ | cmake | pkg-config | ccache | python3) echo 'echo cmake version 3.25.1' >"$MACHINE/bin/$argument" ;;
        ninja-build) echo exit >"$MACHINE/bin/ninja" ;;
    esac
    echo "$argument" >>"$MACHINE/installed"
done
chmod +x "$MACHINE"/bin/*
"""


class Machine:
    def __init__(self, folder, boost="", user=0, sudo=None, network=True, apt=True):
        self.folder = pathlib.Path(folder)
        self.boost, self.network = boost, network
        (self.folder / "bin").mkdir()
        (self.folder / "installed").write_text("")
        for tool in PLAIN_TOOLS:
            os.symlink(shutil.which(tool), self.folder / "bin" / tool)
        self.program("id", f"echo {user}")
        if apt:
            self.program("dpkg-query", DPKG_QUERY)
            self.program("apt-get", APT_GET)
            self.program("apt-cache", f"printf '%s\\n' {boost}")
        if sudo is not None:
            self.program("sudo", sudo)

    def program(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
        path.chmod(0o755)

    def setup(self, *arguments, **variables):
        environment = {"PATH": str(self.folder / "bin"), "MACHINE": str(self.folder),
                       "NETWORK": "yes" if self.network else "", **variables}
        return subprocess.run([shutil.which("bash"), str(ROOT / "dev"), "setup", *arguments], env=environment,
                              cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def apt_calls(self):
        log = self.folder / "apt-get.log"
        return log.read_text().splitlines() if log.exists() else []


class Setup(unittest.TestCase):
    def machine(self, **settings):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Machine(folder.name, **settings)

    def fails(self, done, *texts):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_a_bare_machine_gets_what_a_build_needs_and_the_second_time_costs_nothing(self):
        for names, version in ((BOOKWORM, "1.81"), (NOBLE, "1.83")):
            with self.subTest(boost=version):
                machine = self.machine(boost=names)
                done = machine.setup()
                self.assertEqual(done.returncode, 0, done.stderr)
                update, install = machine.apt_calls()
                self.assertTrue(update.startswith("update"))
                for package in ("g++", "ninja-build", "libtbb-dev", "libtomlplusplus-dev", f"libboost{version}-dev",
                                f"libboost-filesystem{version}-dev", f"libboost-program-options{version}-dev",
                                f"libboost-regex{version}-dev"):
                    self.assertIn(f" {package}", install)
                self.assertNotIn("1.74", install)
                self.assertIn("--no-remove", install)
                again = machine.setup()
                self.assertEqual((again.returncode, again.stderr), (0, ""))
                self.assertEqual(len(machine.apt_calls()), 2)

    def test_a_newer_boost_that_is_there_is_taken(self):
        machine = self.machine(boost=BOOKWORM)
        machine.setup()
        installed = (machine.folder / "installed").read_text().replace("1.81", "1.88")
        (machine.folder / "installed").write_text(installed)
        self.assertEqual(machine.setup().stderr, "")

    def test_half_a_boost_is_not_enough(self):
        machine = self.machine(boost=BOOKWORM)
        machine.setup()
        installed = (machine.folder / "installed").read_text().replace("libboost-filesystem1.81-dev\n", "")
        (machine.folder / "installed").write_text(installed)
        machine.setup()
        self.assertIn("libboost-filesystem1.81-dev", machine.apt_calls()[-1])

    def test_without_apt_it_tells_what_to_install(self):
        done = self.machine(apt=False).setup()
        self.fails(done, "Boost 1.81 or newer", "CMake 3.25", "HALFTONE_SETUP=skip")

    def test_it_can_be_left_out(self):
        done = self.machine(apt=False).setup(HALFTONE_SETUP="skip")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_without_a_network_it_tells_what_is_missing(self):
        done = self.machine(boost=BOOKWORM, network=False).setup()
        self.fails(done, "Unable to fetch", "apt could not install", "libfmt-dev", "libboost-regex1.81-dev")

    def test_without_rights_it_tells_the_command(self):
        machine = self.machine(boost=NOBLE, user=1000)
        self.fails(machine.setup(), "neither root nor sudo", "apt-get install g++ cmake", "libboost-regex1.83-dev")
        self.assertEqual(machine.apt_calls(), [])

    def test_sudo_is_used_where_it_is_needed(self):
        machine = self.machine(boost=NOBLE, user=1000, sudo='echo "$*" >>"$MACHINE/sudo.log"; "$@"')
        self.assertEqual(machine.setup().returncode, 0)
        self.assertEqual(len((machine.folder / "sudo.log").read_text().splitlines()), 2)
        machine.setup()
        self.assertEqual(len((machine.folder / "sudo.log").read_text().splitlines()), 2)

    def test_a_sudo_that_refuses_ends_it(self):
        machine = self.machine(boost=NOBLE, user=1000, sudo="exit 1")
        self.fails(machine.setup(), "apt could not install")

    def test_a_system_with_an_old_boost_only_is_named(self):
        self.fails(self.machine(boost=JAMMY).setup(), "offers no Boost 1.81 or newer")

    def test_apt_without_lists_is_named(self):
        self.fails(self.machine(boost="").setup(), "apt-get update")

    def test_an_old_cmake_is_named_with_its_place(self):
        machine = self.machine(boost=BOOKWORM)
        machine.program("cmake", "echo cmake version 3.22.1")
        self.fails(machine.setup(), "bin/cmake is CMake 3.22.1; 3.25 or newer is needed")

    def test_an_unknown_group_is_an_error(self):
        self.fails(self.machine(boost=BOOKWORM).setup("everything"), "unknown group 'everything'")


if __name__ == "__main__":
    unittest.main()
