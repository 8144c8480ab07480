"""The demonstration: one object read directly, cold and warm, through the product as it is shipped.

Three processes on this machine, as a pod, Nezha and the internet would be three places:

    client (this one)  --HTTPS, the name redirected-->  nezha serve  --HTTPS-->  the bundled origin, slow by design

`content` is the object, `origin` serves it, `processes` starts and ends the other two, `client` reads, `report`
shows; `command` tells the story in order. Nothing in Nezha knows that it is being demonstrated.
"""
