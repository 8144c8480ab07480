"""Where the CAs are kept, by the settings: in a directory, or in a cluster in a Secret."""

from nezha.errors import SettingsError
from nezha.kube.client import credentials, is_in_cluster
from nezha.kube.secret import SecretShelf
from nezha.pki.shelf import Directory, Shelf
from nezha.settings import Settings


def server_shelf(settings: Settings) -> Shelf:
    """The shelf of `nezha serve`. Raises SettingsError where a Secret is named and there is no cluster."""
    if settings.tls.secret is None:
        return Directory(settings.tls.directory)
    if not is_in_cluster():
        raise SettingsError(f"tls.secret: {settings.tls.secret}: there is no cluster here: leave it out")
    return SecretShelf(_namespace(settings), settings.tls.secret)


def command_shelf(settings: Settings) -> Shelf:
    """The shelf of commands that a person runs, also from elsewhere by KUBECONFIG. Raises SettingsError."""
    if settings.tls.secret is None:
        return Directory(settings.tls.directory)
    if (found := credentials()) is None:
        raise SettingsError(f"tls.secret: {settings.tls.secret}: run this in Nezha's pod, or set KUBECONFIG")
    return SecretShelf(_namespace(settings), settings.tls.secret, *found)


def _namespace(settings: Settings) -> str:
    """Nezha's own: that of its Service."""
    return settings.admission.service.partition(".")[2]
