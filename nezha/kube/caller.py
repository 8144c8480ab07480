"""The caBundle of Nezha's MutatingWebhookConfiguration, kept current where nobody else keeps it."""

import base64
from collections.abc import Callable

from nezha.kube.client import Client
from nezha.kube.mirror import Mirror, Selection
from nezha.kube.resources import WEBHOOK, WEBHOOK_CONFIGURATION, Object, named

_OTHERS = "cert-manager.io/inject-"


class Caller:
    """Tells the API server which CA to trust when it calls the webhook."""

    def __init__(self, client: Client, bundle: Callable[[], str], on_change: Callable[[], None]) -> None:
        self._client = client
        self._bundle = bundle
        selection = Selection(WEBHOOK.path(), fields=named(WEBHOOK_CONFIGURATION))
        self.mirror = Mirror(client, selection, lambda found: found, on_change)

    async def step(self) -> None:
        """Writes the bundle where another stands, unless there is none to write. Raises ClusterError."""
        found = self.mirror.objects.get(("", WEBHOOK_CONFIGURATION))
        bundle = self._bundle()
        if found and bundle and (operations := repair(found, bundle)):
            await self._client.patch(WEBHOOK.path(name=WEBHOOK_CONFIGURATION), operations)


def repair(configuration: Object, bundle: str) -> list[Object]:
    """The operations that give every webhook of a configuration the bundle; none where cert-manager does that.

    They begin with a test of the version: what was looked at is what is changed.
    """
    metadata = configuration["metadata"]
    if any(name.startswith(_OTHERS) for name in metadata.get("annotations") or ()):
        return []
    wanted = base64.b64encode(bundle.encode()).decode()
    changes: list[Object] = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": wanted}
        for number, webhook in enumerate(configuration.get("webhooks") or ())
        if webhook["clientConfig"].get("caBundle") != wanted
    ]
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    return [test, *changes] if changes else []
