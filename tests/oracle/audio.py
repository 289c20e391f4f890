"""Sounds, and what transformers' feature extractors and scipy's resample_poly make of them: tests/fixtures/audio.

    python tests/oracle/audio.py [FOLDER]

NAME.json is the preprocessor_config.json of a case; features.safetensors has in.NAME.I (samples) and out.NAME (features; of long ones
some frames, which frames.NAME numbers). The numbers are also computed by transformers' f64 code: what its f32 gives may be off by half of what we allow.
"""
import json, os, sys
import numpy as np, torch
from scipy.signal import resample_poly
from safetensors.numpy import save_file
from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures/audio")
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(0)


def sound(n, rate=16000):
    """Noise that comes and goes, two tones, and silence; what f16 can say, for small files."""
    t = np.arange(n) / rate
    x = 0.1 * rng.standard_normal(n) * np.abs(np.sin(3 * t)) + 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t * (1 + 0.1 * t))
    x[n // 3:n // 3 + n // 10] = 0
    return np.float16(x).astype(np.float32)


tensors, configs = {}, {}
def put(name, extractor, sounds, frames_axis, **more):
    key = "input_features" if "input_features" in extractor.model_input_names else "input_values"
    out = np.asarray(extractor(sounds if len(sounds) > 1 else sounds[0], sampling_rate=16000, return_tensors="np", **more)[key], np.float32)
    if key == "input_features":
        length = 160 * out.shape[-1] if more.get("padding") is not False and more.get("padding") != "longest" else max(map(len, sounds))
        padded = [np.pad(s, (0, max(0, length - len(s))))[:length] for s in sounds]
        exact = np.array(extractor._np_extract_fbank_features(np.array(padded), "cpu"))
        assert np.abs(exact - out).max() < 5e-5, (name, np.abs(exact - out).max())
    n = out.shape[frames_axis]
    keep = sorted({*range(0, n, max(1, n // 12)), *range(min(4, n)), *range(max(0, n - 4), n)})
    tensors[f"out.{name}"] = np.ascontiguousarray(out.take(keep, frames_axis))
    tensors[f"frames.{name}"] = np.array(keep, np.int32)
    tensors[f"dims.{name}"] = np.array(out.shape, np.int32)
    for i, s in enumerate(sounds): tensors[f"in.{name}.{i}"] = s.astype(np.float16)
    configs[name] = {"config": json.loads(extractor.to_json_string()), "options": more}


whisper = WhisperFeatureExtractor()
put("whisper", whisper, [sound(4000)], 2)
put("whisper-batch", WhisperFeatureExtractor(feature_size=128, chunk_length=1), [sound(3000), sound(16500)], 2)
put("whisper-longest", WhisperFeatureExtractor(chunk_length=2), [sound(5001), sound(3000)], 2, padding="longest")
put("whisper-plain", WhisperFeatureExtractor(n_fft=300, hop_length=100, feature_size=20), [sound(4444)], 2, padding=False)
put("ast", ASTFeatureExtractor(), [sound(5000)], 1)
put("ast-short", ASTFeatureExtractor(num_mel_bins=32, max_length=30, mean=-3.0, std=2.0), [sound(2000), sound(5600), sound(399)], 1)
put("ast-plain", ASTFeatureExtractor(num_mel_bins=64, max_length=20, do_normalize=False), [sound(2000)], 1)
for n, source, target in ((500, 44100, 16000), (500, 8000, 16000), (777, 48000, 16000), (1, 22050, 16000), (300, 16000, 44100), (333, 11025, 16000)):
    x = sound(n, source)
    tensors[f"in.resample-{source}-{target}.0"] = x.astype(np.float16)
    g = np.gcd(source, target)
    tensors[f"out.resample-{source}-{target}"] = resample_poly(x.astype(np.float64), target // g, source // g).astype(np.float32)
save_file(tensors, os.path.join(folder, "features.safetensors"))
json.dump(configs, open(os.path.join(folder, "configs.json"), "w"), indent=1)
print({k: v.shape for k, v in tensors.items() if k.startswith("out")}, os.path.getsize(os.path.join(folder, "features.safetensors")))
