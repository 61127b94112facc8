# The base image's files without those that no running step reads, and the user that it runs as.
set -e
for package in python3-pip python3-pip-whl python3-setuptools python3-setuptools-whl python3-pkg-resources python3-wheel; do
  dpkg --purge --force-depends "$package" > /dev/null 2>&1 || true
done
rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* /usr/local/lib/python3*/test \
  /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/python-wheels \
  /var/lib/apt/lists /var/cache/apt /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/*
echo 'distillery:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd
echo 'distillery:x:65532:' >> /etc/group
