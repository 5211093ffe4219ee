"""Pushes a variant of prober:1 to the registry on 127.0.0.1:5000: variant.py NAME CONFIG [FOLDER]

CONFIG is the JSON of the image's configuration, over that of prober:1; what lies in FOLDER becomes
a further layer.
"""
import gzip, hashlib, http.client, json, os, subprocess, sys

name, config = "library/" + sys.argv[1], json.loads(sys.argv[2])
folder = sys.argv[3] if len(sys.argv) > 3 else None
registry = http.client.HTTPConnection("127.0.0.1", 5000)


def ask(method, path, body=None, kind=None):
    registry.request(method, path, body, {"Content-Type": kind} if kind else {})
    answer = registry.getresponse()
    said = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {said}")
    return answer, said


def push(data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    answer, _ = ask("POST", f"/v2/{name}/blobs/uploads/")
    place = answer.getheader("Location").split("://", 1)[-1].split("/", 1)[1]
    ask("PUT", f"/{place}&digest={digest}", data, "application/octet-stream")
    return {"digest": digest, "size": len(data)}


kind = "application/vnd.oci.image.manifest.v1+json"
registry.request("GET", "/v2/library/prober/manifests/1", headers={"Accept": kind})
manifest = json.loads(registry.getresponse().read())
image = json.loads(ask("GET", "/v2/library/prober/blobs/" + manifest["config"]["digest"])[1])
image["config"].update(config)
for layer in manifest["layers"]:
    ask("POST", f"/v2/{name}/blobs/uploads/?mount={layer['digest']}&from=library/prober")
if folder:
    layer = subprocess.run(
        ["tar", "-C", folder, "--sort=name", "--mtime=@0", "--numeric-owner", "--xattrs",
         "--xattrs-include=security.capability", "-cf", "-", "."],
        check=True, stdout=subprocess.PIPE).stdout
    image["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(layer).hexdigest())
    manifest["layers"].append(
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **push(gzip.compress(layer, 1, mtime=0))})
manifest["config"].update(push(json.dumps(image).encode()))
ask("PUT", f"/v2/{name}/manifests/1", json.dumps(manifest), kind)
