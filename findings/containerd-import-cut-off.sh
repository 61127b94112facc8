#!/usr/bin/env bash
# Version: containerd 1.6.20 with its ctr (Debian 12)
# Behaviour: `ctr images import` of a docker archive takes a layer in under the name that the file has in the archive, not under
#   its digest. An import that is cut off leaves what it took under that name, and the next import of any other image whose layer
#   has the same name fails: "unexpected commit size", then "unable to discard to offset", until the first image is loaded after all.
# Why it surprises: content is addressed by digest, images of different names and bytes seem to have nothing in common, and
#   `layer.tar` is what small tools call the layer of every image that they write.
# Who is bitten: who loads images into a node (tests, air-gapped installs) and stops a load half-way; the same load, begun again,
#   goes on where it was, so only another image shows it.
# Seen: image a cut off at 24 of 40 MiB; image b of 1 MiB: "unexpected commit size 25165824, expected 1048576"; image a again: taken.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, as containerd does"; exit 1; }
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
server=
cd "$work"
apt-get download -qq -o APT::Sandbox::User=root 'containerd=1.6.20~ds1-1+deb12u3' > /dev/null
dpkg -x containerd_*.deb .
cat > config.toml <<TOML
version = 2
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$work/sock"
TOML
usr/bin/containerd --config config.toml > log 2>&1 &
server=$!
for _ in $(seq 50); do [ -S sock ] && break; sleep 0.2; done
python3 - <<'PY'
import hashlib, io, json, subprocess, sys, tarfile, time

MIB = 2**20

def archive(name, size):
    """A docker archive of one layer, layer.tar, which comes last."""
    layer = bytes([len(name)]) * size
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in (("manifest.json", manifest), ("config.json", config), ("layer.tar", layer)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()

def load(data, upto=None):
    """Import an archive from standard input; with `upto`, kill ctr once it has taken about so many bytes."""
    ctr = subprocess.Popen(["usr/bin/ctr", "-a", "sock", "images", "import", "--no-unpack", "-"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if upto is None:
        return ctr.communicate(data)[0].decode(), ctr.returncode
    ctr.stdin.write(data[:upto])
    ctr.stdin.flush()
    time.sleep(2)
    ctr.kill()
    return ctr.communicate()[0].decode(), ctr.returncode

large, small = archive("localhost/a-large:1", 40 * MIB), archive("localhost/b:1", MIB)
load(large, 24 * MIB + 4096)
for time_ in ("first", "second"):
    told, code = load(small)
    print(f"another image after an import that was cut off, {time_} try:", code, told.strip()[-160:])
    if not code or "tar-layer.tar" not in told:
        sys.exit("changed: the other image is taken")
told, code = load(large)
print("the image that was cut off, again:", code)
if code:
    sys.exit(f"changed: {told}")
told, code = load(small)
print("the other image, now:", code)
if code:
    sys.exit(f"changed: {told}")
PY
