# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_drain beside a made-up keepalived: who changes which weight. With the real one: tests/integration/test_beside_keepalived.py."""

from __future__ import annotations

import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _drain_record, _keepalived_text, _model, _owners
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .drain_director import HTTP, MARK, RS1, RS2, RS3, Director

WEB = _model.service_id(HTTP)


class Checked(Director):
    """A director whose keepalived keeps the service HTTP, but not MARK. ``unhealthy``: addresses that its checks keep out;
    ``listens``: whether it does what the files say; ``asked``: how often its configuration was read; ``fileless``: whose checks read
    no file."""

    def __init__(self, monkeypatch, folder):
        super().__init__(monkeypatch, folder / "state")
        self.files = folder / "state/drain"
        self.files.mkdir(parents=True)
        self.unhealthy, self.listens, self.runs, self.asked, self.problems = set(), True, True, 0, []
        self.fileless = set()
        self.configured = {_model.ServerId(RS1, 80): 3, _model.ServerId(RS2, 80): 2}
        for address in (RS1, RS2):
            self.write(address, "0\n")
        monkeypatch.setattr(_owners, "keepalived_services", self.services)

    def services(self, netns):
        self.asked += 1
        servers = {ident: _keepalived_text.Server(weight, ident.address not in self.fileless) for ident, weight in self.configured.items()}
        return ({WEB: _keepalived_text.Service(servers, None)} if self.runs else {}), self.problems

    def write(self, address, text):
        (self.files / address).write_text(text)

    def said(self):
        return {path.name: path.read_text() for path in self.files.iterdir()}

    def sleep(self, seconds):
        """keepalived does its work while others wait."""
        super().sleep(seconds)
        if self.listens and self.runs:
            for ident, weight in self.configured.items():
                out = ident.address in self.unhealthy or (self.files / ident.address).read_text() == "-100000\n"
                self.set(ident.address, 0 if out else weight)


@pytest.fixture
def director(monkeypatch, tmp_path):
    return Checked(monkeypatch, tmp_path)


def test_out_and_back(director):
    done = director.foretold(RS1)
    assert done.changed and done.values["drained"] and director.weights() == [0, 2] and director.weights(MARK) == [0, 1, 5]
    assert director.said() == {RS1: "-100000\n", RS2: "0\n"}
    # the weight of the service that is not keepalived's is changed and recorded as ever
    assert done.values["commands"] == ["ipvsadm -e -f 7 -r 198.51.100.11:0 -m -w 0", f"echo -100000 > {director.files}/{RS1}"]
    assert "fwmark" in director.recorded() and "203.0.113.80" not in director.recorded()
    assert [(place["weight"], place["weight_now"]) for place in done.values["places"]] == [(3, 0), (1, 0)]
    assert "-r 198.51.100.11:80 -m -w 3" in done.before and "-r 198.51.100.11:80 -m -w 0" in done.after
    assert done.after.endswith(f"# {director.files}/{RS1}: -100000\n") and "drain/" not in done.before
    assert director.saved[WEB, _model.ServerId(RS1, 80)] == 0  # a boot restores it drained

    again = director.foretold(RS1)
    assert not again.changed and again.values["commands"] == [] and again.before == again.after == done.after
    assert again.values["places"] == done.values["places"]

    back = director.foretold(RS1, state="restored")
    assert back.changed and director.weights() == [3, 2] and director.weights(MARK) == [1, 1, 5] and director.recorded() is None
    assert director.said() == {RS1: "0\n", RS2: "0\n"} and back.values["unhealthy"] == [] and "msg" not in back.values
    assert back.values["commands"] == ["ipvsadm -e -f 7 -r 198.51.100.11:0 -m -w 1", f"echo 0 > {director.files}/{RS1}"]
    assert back.before == done.after and back.after == done.before
    assert [(place["weight"], place["weight_now"]) for place in back.values["places"]] == [(3, 3), (1, 1)]
    nothing = director.foretold(RS1, state="restored")
    assert not nothing.changed and nothing.values["msg"] == f"No weights are recorded of {RS1}: there is nothing to put back."


def test_all_that_is_drained_comes_back(director):
    director.run(RS1)
    director.run(RS2, allow_empty=True)
    assert director.weights() == [0, 0]
    assert director.foretold(state="restored").changed and director.weights() == [3, 2]


def test_a_server_of_keepalived_alone_has_no_weight_on_record_and_comes_back(director):
    del director.kernel.table[_model.service_id(MARK)]
    director.run(RS1)
    assert director.recorded() is None
    back = director.foretold(RS1, state="restored")
    assert back.changed and director.weights() == [3, 2] and "msg" not in back.values


def test_a_server_that_its_check_keeps_out(director):
    director.run(RS1)
    director.unhealthy.add(RS1)
    started = director.now
    back = director.run(RS1, state="restored")
    assert back.changed and back.values["unhealthy"] == ["198.51.100.11:80 of tcp 203.0.113.80:80"]
    assert back.values["msg"] == "198.51.100.11:80 of tcp 203.0.113.80:80: no longer drained, and kept out by its health check."
    assert 2 <= director.now - started < 3 and [place["weight_now"] for place in back.values["places"]] == [0, 1]
    assert "-r 198.51.100.11:80 -m -w 0" in back.after
    again = director.foretold(RS1, state="restored")
    assert not again.changed and again.values["unhealthy"] == back.values["unhealthy"] and again.values["msg"] == back.values["msg"]
    # drained while it is out, it stays out when it is healthy again
    assert director.run(RS1).changed
    director.unhealthy.clear()
    director.sleep(1)
    assert director.weights() == [0, 2]


def test_one_that_its_check_keeps_out_is_no_help(director):
    director.unhealthy.add(RS2)
    director.sleep(0)
    for check in (director.run, director.check):
        with pytest.raises(IpvsError, match="No server would accept new connections of tcp 203.0.113.80:80"):
            check(RS1)
    assert director.said() == {RS1: "0\n", RS2: "0\n"} and director.recorded() is None


def test_a_keepalived_that_does_not_listen(director):
    director.listens = False
    with pytest.raises(IpvsError, match="has not set the weight of 198.51.100.11:80 of tcp 203.0.113.80:80 to 0 within 30 seconds") as failure:
        director.run(RS1)
    assert failure.value.details["changed"] and not failure.value.details["drained"]
    assert director.said()[RS1] == "-100000\n" and [place["weight_now"] for place in failure.value.details["places"]] == [3, 0]
    assert director.foretold(RS1).values["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"]
    assert director.weights() == [0, 2] and "203.0.113.80" not in director.recorded()


def test_somebody_else_gives_a_weight(director):
    director.connect(RS1, 1)
    director.sleeps = [lambda: None, lambda: setattr(director, "listens", False) or director.set(RS1, 7), lambda: director.connect(RS1, 0)]
    assert director.run(RS1).values["drained"] and director.weights() == [0, 2]
    assert director.warnings == ["another program set the weight of 198.51.100.11:80 of tcp 203.0.113.80:80 while it was drained; it was set to 0 again"]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(("state", "web", "mark"), [("drained", [0, 2], [0, 1, 5]), ("restored", [3, 2], [1, 1, 5])])
def test_a_killed_run_is_taken_up(director, monkeypatch, state, web, mark, written):
    """It dies before or after it writes the file; the static weights are set by then."""
    if state == "restored":
        director.run(RS1)
    before, write = director.weights(), _drain_files.write

    def die(address, drained):
        if written:
            write(address, drained)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(_drain_files, "write", die)
        director.run(RS1, state=state)
    assert director.weights() == before and director.weights(MARK) == mark
    director.sleep(0)  # keepalived needs nobody
    done = director.run(RS1, state=state)
    assert done.changed != written and len(done.values["commands"]) == 1 - written
    assert director.weights() == web and director.weights(MARK) == mark
    assert not director.foretold(RS1, state=state).changed


def test_a_file_that_cannot_be_written(director, monkeypatch):
    monkeypatch.setattr(_drain_files, "write", _refuse)
    for state in ("drained", "restored"):
        if state == "restored":
            director.write(RS1, "-100000\n")
        with pytest.raises(IpvsError, match="Read-only file system") as failure:
            director.run(RS1, state=state)
        assert failure.value.details["changed"] and len(failure.value.details["commands"]) == 1  # that of the other service


def _refuse(address, drained):
    raise IpvsError("%s: Read-only file system" % address)


def test_while_keepalived_does_not_run(director):
    """The files are written nevertheless: it may be about to start. The weights are ours."""
    director.runs = False
    assert director.foretold(RS1).changed and director.weights() == [0, 2] and director.said()[RS1] == "-100000\n"
    assert "203.0.113.80" in director.recorded()
    director.runs = True  # meanwhile it has been started, and takes over what is there
    director.configured[_model.ServerId(RS1, 80)] = 4
    back = director.foretold(RS1, state="restored")
    assert director.weights() == [4, 2] and director.recorded() is None and director.said()[RS1] == "0\n"
    assert [place["weight"] for place in back.values["places"]] == [4, 1]
    # an address of which there is a file, and no service
    director.kernel.table.clear()
    director.runs = False
    assert director.foretold(RS1).changed and director.said()[RS1] == "-100000\n"
    assert director.foretold(RS1, state="restored").changed and director.said()[RS1] == "0\n"


def test_recorded_before_keepalived_was_there(director):
    director.runs = False
    director.run(RS1)
    director.runs = True
    assert director.foretold(RS1).changed  # it is keepalived's from now on
    assert "203.0.113.80" not in director.recorded()
    director.run(RS1, state="restored")
    assert director.weights() == [3, 2]


def test_nobody_asks_where_there_are_no_files(director):
    for path in director.files.iterdir():
        path.unlink()
    director.run(RS1)
    director.run(RS1, state="restored")
    os.rmdir(director.files)
    director.run(RS3, allow_empty=True)
    director.run(state="restored")
    assert director.asked == 0 and director.weights() == [3, 2]


@pytest.mark.parametrize("knows", [False, True])
def test_a_server_that_keepalived_has_no_file_for(director, knows):
    director.fileless = {RS1}
    if not knows:
        del director.configured[_model.ServerId(RS1, 80)]
    assert director.foretold(RS1).values["commands"][0] == "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"


def test_a_configuration_that_nobody_can_read(director):
    director.runs, director.problems = False, ["/srv/k.conf: No such file or directory"]
    director.run(RS1)
    assert director.warnings == [
        "keepalived runs, and its configuration can't be read, so its services are drained as if keepalived did not run: /srv/k.conf: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("text", "drained"),
    [("-100000\n", True), ("-100001", True), (" -100000 # by hand\n", True), ("0\n", False), ("", False), ("x", False), ("-5\n", False)],
)
def test_what_a_file_says(director, text, drained):
    director.write(RS1, text)
    (director.files / "folder").mkdir()
    assert {address: each.since is not None for address, each in _drain_files.read().items()} == {RS1: drained, RS2: False}


def test_a_file_is_replaced_in_one_step(director):
    before = os.stat(director.files / RS1).st_ino
    _drain_files.write(RS1, True)
    assert os.stat(director.files / RS1).st_ino != before and os.stat(director.files / RS1).st_mode & 0o777 == 0o644
    assert director.said() == {RS1: "-100000\n", RS2: "0\n"} and {path.name for path in director.folder.iterdir()} == {"drain"}
    assert os.path.dirname(_drain_files.path(RS1)) == str(director.files) and _drain_record.FOLDER == "/var/lib/ipvs-director"


def test_who_is_not_named_stays_drained(director):
    director.run(RS1)
    director.run(RS2, allow_empty=True)
    assert director.foretold(RS1, state="restored").changed
    assert (director.said(), director.weights()) == ({RS1: "0\n", RS2: "-100000\n"}, [3, 0])


def test_a_file_that_says_it_already_is_not_written_again(director, monkeypatch):
    director.run(RS1)
    monkeypatch.setattr(_drain_files, "write", None)
    assert not director.run(RS1).changed


def test_a_file_is_whole_when_keepalived_first_sees_it(director, monkeypatch):
    seen = []
    monkeypatch.setattr(_drain_files.os, "link", lambda source, name: seen.append((open(source).read(), name)))
    _drain_files.make([f"{director.files}/{RS3}"])
    assert seen == [("0\n", f"{director.files}/{RS3}")]


def test_texts_only_where_a_diff_is_wanted(director):
    answer = director.run(RS1, diff=False)
    assert answer.changed and (answer.before, answer.after) == (None, None)
