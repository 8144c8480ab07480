"""`nezha doctor`: the cluster by the API, this machine by its own resolver, trust and clock."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from nezha.kube.client import Client, credentials, is_in_cluster
from nezha.kube.doctor import Diagnosis, Question, examine
from nezha.kube.findings import Finding, document, has_trouble, lines, unknown
from nezha.kube.here import look_here
from nezha.settings import AdmissionSettings, Settings


@dataclass(frozen=True, slots=True)
class Patient:
    """What `nezha doctor` is asked about: a namespace or pod, hosts to try from here, Nezha's addresses if known."""

    namespace: str | None = None
    pod: str | None = None
    hosts: Sequence[str] = ()
    addresses: Sequence[str] = ()


def doctor(settings: Settings | None, patient: Patient) -> list[Finding]:
    """Everything that can be seen from here. Blocks; raises nothing."""
    admission = settings.admission if settings else AdmissionSettings()
    fixed = () if admission.address == "auto" else (admission.address,)
    diagnosis = _cluster(Question(admission.service, patient.namespace, patient.pod))
    addresses = tuple(patient.addresses) or fixed or diagnosis.addresses
    # from elsewhere than the cluster a ClusterIP cannot be reached, which says nothing
    here = look_here(patient.hosts, addresses) if patient.hosts or is_in_cluster() else ()
    return [*diagnosis.findings, *here]


def _cluster(question: Question) -> Diagnosis:
    found = credentials()
    if found is None:
        missing = unknown(
            "the cluster", "no service account here and no KUBECONFIG", "set KUBECONFIG to look at it too"
        )
        return Diagnosis((missing,), ())
    return examine(Client(*found), question)


def tell(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Prints what was found; the exit code: 1 where anything is wrong."""
    text = json.dumps(document(findings), indent=2) if as_json else "\n".join(lines(findings))
    sys.stdout.write(text + "\n")
    return int(has_trouble(findings))
