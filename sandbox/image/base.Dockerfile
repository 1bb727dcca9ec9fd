# The part of the cell image that rarely changes: a system, Python 3.11, and the packages that programs
# may import. ROOT is an image of a registry, or one that was imported from a debootstrap folder.
ARG ROOT=python:3.11-slim-bookworm
FROM ${ROOT}
LABEL selfloom.image=base
COPY packages /opt/packages/image
# Cells cannot write: without compiled files every cell would compile what it imports again. Compiled
# files are not checked against their sources, whose times depend on the build. No program needs a
# setuid file.
RUN chmod -R a+rX /opt/packages \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/packages \
    && { python3 -m compileall -q "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')" || true; } \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
