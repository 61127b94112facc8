#!/usr/bin/env bash
# Version: mlflow-skinny 3.17.2
# Behaviour: where nobody names a tracking server, its client's default address is sqlite:///mlflow.db, for which the package has no store:
#   the first call raises. A folder, the default of earlier versions, is refused, too, unless MLFLOW_ALLOW_FILE_STORE is true.
# Why it surprises: the small package is the one for clients that log and read; its own default is an address it can't open.
# Who is bitten: jobs and pods that log "locally unless told otherwise" and install the small package.
# Seen: UnsupportedModelRegistryStoreURIException by default, MlflowException for the folder, an experiment once it is allowed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q mlflow-skinny==3.17.2
cat > "$work/show.py" <<'PY'
import logging, os, sys
logging.disable(logging.CRITICAL)
os.chdir(sys.argv[1])
from mlflow import MlflowClient

def outcome(address=None):
    try:
        return "experiment " + MlflowClient(address).create_experiment("a")[:1]
    except Exception as error:
        return type(error).__name__

seen = [outcome(), outcome("file:" + sys.argv[1] + "/runs")]
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
seen.append(outcome("file:" + sys.argv[1] + "/runs"))
print("default:", seen[0], "| folder:", seen[1], "| folder, allowed:", seen[2])
if seen[0].startswith("experiment") or seen[1].startswith("experiment") or not seen[2].startswith("experiment"):
    sys.exit("changed: the default can be opened, or a folder needs no word")
PY
mkdir "$work/here"
env -u MLFLOW_TRACKING_URI -u MLFLOW_ALLOW_FILE_STORE HOME="$work" "$work/venv/bin/python" "$work/show.py" "$work/here"
