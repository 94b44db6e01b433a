"""Scores of jets from an exported tagger: python score_onnx.py pfn.onnx jets.npz > scores.txt"""

import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
jets = np.load(sys.argv[2])  # pxpypzE [GeV], one row for each constituent, jet after jet; counts
mask = np.arange(jets["counts"].max()) < jets["counts"][:, None]  # (jets, particles)
feed = {"momenta": np.zeros((*mask.shape, 4), np.float32), "mask": mask}
feed["momenta"][mask] = jets["pxpypzE"]
for name in {each.name for each in session.get_inputs()} - set(feed):
    feed[name] = np.zeros(mask.shape, np.float32)
    feed[name][mask] = jets[name]  # charge, d0 ... where the tagger takes them
blocks = [slice(begin, begin + 32) for begin in range(0, len(mask), 32)]  # to save memory
parts = [session.run(["scores"], {k: v[rows] for k, v in feed.items()})[0] for rows in blocks]
classes = session.get_modelmeta().custom_metadata_map["classes"]
np.savetxt(sys.stdout, np.concatenate(parts), "%.7f", header=classes)
