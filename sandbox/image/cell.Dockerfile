# The cell image: the base, the users that a cell knows, and the code of its first process.
ARG BASE
FROM ${BASE}
LABEL selfloom.image=cell
COPY passwd group /etc/
COPY cell /opt/selfloom/sandbox/cell
RUN chmod -R a+rX /opt/selfloom /etc/passwd /etc/group \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/selfloom
