"""Commands and exit codes: 0 done, 1 failed, 2 usage or settings. An error is one line: what, where, what to do."""

import argparse
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nezha import __version__, log
from nezha.control import command as control
from nezha.errors import NezhaError, SettingsError
from nezha.loading import load
from nezha.routes import make_routes
from nezha.settings import Settings
from nezha.units import parse_size, shortest_ip

if TYPE_CHECKING:
    from nezha.pki.command import Injected
    from nezha.pki.keeper import Keeper

_DEFAULT = "/etc/nezha/nezha.yaml"
_SHOWN = ("aiohttp", "uvloop", "diskcache", "cryptography", "h11", "awscrt", "pydantic", "prometheus-client")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SettingsError as error:
        print(f"nezha: {error}", file=sys.stderr)
        return 2
    except NezhaError as error:
        print(f"nezha: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("nezha", description="A cache on the names that jobs already use.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the cache port and the admission port")
    _add_config(serve)
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check-config", help="validate settings; print what is served and aliased")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check)

    demo = commands.add_parser("demo", help="read a file direct, cold and warm through Nezha")
    demo.add_argument("--size", type=_size, default=169_001_437, metavar="BYTES", help="such as 169001437 or 64MiB")
    demo.add_argument("--rate", type=_size, default=20_000_000, metavar="BYTES_PER_S", help="of one origin connection")
    demo.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    demo.set_defaults(run=_demo)

    for operator, operate in control.add_to(commands):
        _add_config(operator)
        operator.set_defaults(run=partial(_operate, operate))
    _add_ca(commands.add_parser("ca", help="show, rotate or revoke the certificate authority that pods trust"))
    _add_admission(commands)
    _add_doctor(commands.add_parser("doctor", help="tell what is wrong with the redirect, and the remedy"))
    _add_try(commands.add_parser("try", help="walk a piece of the whole way, from a pod of the cluster"))
    commands.add_parser("version", help="print versions").set_defaults(run=_version)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=None, help=f"settings (NEZHA_CONFIG, else {_DEFAULT})")


def _add_ca(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="which CAs there are, for what, until when")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=_ca_show)
    rotate = commands.add_parser("rotate", help="let another key sign: trusted first, used after tls.overlap")
    rotate.add_argument("--now", action="store_true", help="let it sign at once; lists the pods that do not trust it")
    rotate.set_defaults(run=_ca_rotate)
    revoke = commands.add_parser("revoke", help="take a CA out of the trust bundle; another signs at once")
    revoke.add_argument("--id", help="which, as `nezha ca show` calls it (else the one that signs)")
    revoke.set_defaults(run=_ca_revoke)
    for command in (rotate, revoke):
        command.add_argument("use", nargs="?", choices=("pods", "admission"), default="pods", help="whose CA (pods)")
    for command in (show, rotate, revoke):
        _add_config(command)


def _add_admission(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    admission = commands.add_parser("admission", help="explain what is done to pods")
    explain = admission.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "explain", help="print what would happen to the objects in a manifest, and why"
    )
    explain.add_argument("-f", "--file", type=Path, required=True, help="YAML or JSON; - is standard input")
    explain.add_argument("-n", "--namespace", default="default", help="where they are created, if they do not say")
    explain.set_defaults(run=_explain)
    policy = commands.add_parser("policy", help="inject without the webhook")
    render = policy.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "render", help="print MutatingAdmissionPolicies for kubectl apply"
    )
    render.set_defaults(run=_render)
    for command in (explain, render):
        command.add_argument("--rules", type=Path, help="the rules (else admission.rules_file)")
        command.add_argument("--address", type=_ip, action="append", default=[], help="what aliases point at")
        _add_config(command)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", help="a namespace whose pods are not redirected")
    parser.add_argument("--pod", help="one of its pods")
    parser.add_argument("--host", action="append", default=[], help="a name to try from this machine, as a job would")
    parser.add_argument("--address", action="append", default=[], help="Nezha's address, where it cannot be found out")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    _add_config(parser)
    parser.set_defaults(run=_doctor)


def _add_try(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("health", "cache", "trust", "injection"), help="what is tried")
    parser.add_argument("-n", "--namespace", default="default", help="injection: where, in a dry run (it has opted in)")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    _add_config(parser)
    parser.set_defaults(run=_try)


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _ip(text: str) -> str:
    if not (ip := shortest_ip(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address")
    return ip


def _read(path: Path) -> Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{path}: {reason}; name a readable file with --config or NEZHA_CONFIG") from error
    try:
        return load(text, os.environ)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _configured(options: argparse.Namespace) -> Settings:
    return _read(options.config or Path(os.environ.get("NEZHA_CONFIG") or _DEFAULT))


def _serve(options: argparse.Namespace) -> int:
    from nezha.server import RUNNERS, prepare, serve

    settings = _configured(options)
    stop_log = log.configure(settings.log.level, is_access_logged=settings.log.access)
    try:
        if not settings.origins:
            log.warn("no_origins", message="no origins are configured: nothing is served")
        RUNNERS[settings.cache.loop](serve(prepare(settings)))
    finally:
        stop_log()
    return 0


def _check(options: argparse.Namespace) -> int:
    settings = _read(options.file)
    routes = make_routes(settings)
    for origin in settings.origins:
        hosts = [host for host in routes.hosts if any(each.name == origin.name for each in routes.all(host))]
        target = origin.connect or "https, by the host's own name"
        print(f"{origin.name} ({origin.dialect}, to {target})")
        for host in hosts:
            print(f"  {host}")
    print(
        f"{len(routes.hosts)} hosts served; aliased to {settings.admission.address}: {', '.join(routes.names) or '-'}"
    )
    return 0


def _demo(options: argparse.Namespace) -> int:
    from nezha.demo.command import run

    return run(options.size, options.rate, as_json=options.json)


def _operate(operate: control.Operation, options: argparse.Namespace) -> int:
    return operate(_configured(options), options)


def _ca_show(options: argparse.Namespace) -> int:
    from nezha.pki import command

    keepers = _keepers(options)
    if options.json:
        print(json.dumps(command.describe(keepers)))
    else:
        print(*command.show(keepers), sep="\n")
    return 0


def _ca_rotate(options: argparse.Namespace) -> int:
    from nezha.pki import command

    for line in command.rotate(_keeper(options), _injected(), at_once=options.now):
        print(line)
    return 0


def _ca_revoke(options: argparse.Namespace) -> int:
    from nezha.pki import command

    for line in command.revoke(_keeper(options), _injected(), options.id):
        print(line)
    return 0


def _keepers(options: argparse.Namespace) -> "Mapping[str, Keeper | None]":
    from nezha.kube.shelves import command_shelf
    from nezha.pki.certificates import keepers

    settings = _configured(options)
    return keepers(settings, make_routes(settings).names, command_shelf(settings))


def _keeper(options: argparse.Namespace) -> "Keeper":
    keeper = _keepers(options)[options.use]
    if keeper is None:
        raise SettingsError("tls.directory: the admission certificate is mounted: rotate it where it is made")
    return keeper


def _injected() -> "Injected | None":
    """How the pods that a rotation leaves behind are found; None outside a cluster."""
    from nezha.kube.client import Client, credentials
    from nezha.kube.injected import injected_before

    found = credentials()
    return None if found is None else lambda seconds: injected_before(Client(*found), seconds)


def _doctor(options: argparse.Namespace) -> int:
    from nezha.kube import command

    path = options.config or Path(os.environ.get("NEZHA_CONFIG") or _DEFAULT)
    settings = _read(path) if options.config or path.exists() else None
    patient = command.Patient(options.namespace, options.pod, options.host, options.address)
    return command.tell(command.doctor(settings, patient), as_json=options.json)


def _try(options: argparse.Namespace) -> int:
    from nezha.kube import command, trial

    return command.tell(trial.attempt(options.part, _configured(options), options.namespace), as_json=options.json)


def _explain(options: argparse.Namespace) -> int:
    from nezha.admission.command import explained

    for line in explained(*_aimed(options), options.file, options.namespace):
        print(line)
    return 0


def _render(options: argparse.Namespace) -> int:
    from nezha.admission.command import policies

    print(policies(*_aimed(options)), end="")
    return 0


def _aimed(options: argparse.Namespace) -> tuple[Settings, list[str], list[str]]:
    """Settings with the rules that were asked for, the hosts, and the addresses, where they are known."""
    settings = _configured(options)
    admission = settings.admission
    if options.rules:
        settings = settings.model_copy(update={"admission": admission.model_copy(update={"rules_file": options.rules})})
    standing = [] if admission.address == "auto" else [admission.address]
    return settings, make_routes(settings).names, options.address or standing


def _version(_: argparse.Namespace) -> int:
    versions = {name: importlib.metadata.version(name) for name in _SHOWN}
    print(f"nezha {__version__}")
    print(json.dumps({"python": sys.version.split()[0], **versions}))
    return 0
