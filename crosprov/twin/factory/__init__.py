"""A stand-in for the factory server: its image with Dome and Umpire, and its script.

`image.build` writes the image's archive, `script.script` gives the deployment script that
goes with it; `python -m crosprov.twin.factory FOLDER` writes both. The packages `dome` and
`umpire` are the programs inside the image: they need a CPython and nothing else, and know
this machine only through `places`.

Not imitated: Dome's pages, sessions and admin site, its check for newer versions over the
network, factory drives, the log archive of Umpire, partitions of disk images (a payload is one
file), shop floor, reports, what Instalog, rsync and DKPS do beyond listening, multicast, and
the age of the original's Docker client: engines that refuse it take the stand-in's calls.
"""
