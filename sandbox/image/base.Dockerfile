# The part of the cell image that rarely changes: a system, Python 3.11, and the packages that programs
# may import. ROOT is an image of a registry, or one that was imported from a debootstrap folder.
ARG ROOT=python:3.11-slim-bookworm
FROM ${ROOT}
LABEL selfloom.image=base
COPY packages /opt/packages/image
# Cells cannot write: without compiled files every cell would compile what it imports again. Those of
# the packages are not compared with their sources, whose times depend on the build.
RUN chmod -R a+rX /opt/packages \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/packages \
    && { python3 -m compileall -q "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')" || true; }
# What no program needs: setuid files and accounts. Both backends have one folder for temporary files.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && rm -rf /etc/shadow* /etc/gshadow* /etc/passwd- /etc/group- /etc/subuid* /etc/subgid* /var/tmp \
    && ln -s /tmp /var/tmp
