"""What Pillow and transformers' image processors on Pillow make of small images: tests/fixtures/images.

    python tests/oracle/images.py FOLDER      writes images.safetensors (U8 and F32) and cases.json

resize: every filter, up and down. process: configs as hub repositories have them (both generations of spellings), and what the processor of that class gives.
"""
import importlib, json, os, sys
import numpy as np, torch, transformers
from PIL import Image
from safetensors.torch import save_file

transformers.logging.set_verbosity_error()
rng = np.random.default_rng(7)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def image(height, width, channels):
    """Waves, an edge and noise, all values from 0 to 255."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    v = 128 + 90 * np.sin(x / 2.3 + c) * np.cos(y / 3.1 - c) + 60 * (x > width // 2) - 40 * (y > height // 3) + rng.normal(0, 25, y.shape)
    return np.clip(v, 0, 255).astype(np.uint8)


IMAGES = {"a": image(23, 17, 3), "b": image(9, 31, 3), "gray": image(14, 11, 1), "alpha": image(12, 19, 4), "grayalpha": image(10, 8, 2), "large": image(61, 47, 3)}
IMAGES["alpha"][2:5, :, 3], IMAGES["alpha"][6:8, :, 3] = 0, 255
pil = {k: Image.fromarray(v[..., 0] if v.shape[2] == 1 else v, MODES[v.shape[2]]) for k, v in IMAGES.items()}

RESIZE = [("a", 11, 13), ("a", 40, 29), ("b", 9, 12), ("b", 20, 31), ("gray", 5, 23), ("large", 7, 8), ("large", 1, 1), ("a", 23, 17)]
PROCESS = [
    ("vit", "ViT", {"size": {"height": 12, "width": 12}}, ["a", "b"]),
    ("vit-old", "ViT", {"feature_extractor_type": "ViTFeatureExtractor", "size": 14, "resample": 2, "do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}, ["a", "large"]),
    ("vit-plain", "ViT", {"do_resize": False, "do_normalize": False, "rescale_factor": 0.01}, ["a"]),
    ("vit-bytes", "ViT", {"size": {"height": 5, "width": 9}, "do_rescale": False, "do_normalize": False, "resample": 0}, ["large"]),
    ("vit-gray", "ViT", {"size": {"height": 8, "width": 10}, "image_mean": [0.4], "image_std": [0.3], "resample": 4}, ["gray"]),
    ("deit", "DeiT", {"size": {"height": 16, "width": 18}, "crop_size": {"height": 11, "width": 12}}, ["a", "b"]),
    ("deit-padded", "DeiT", {"size": {"height": 7, "width": 20}, "crop_size": {"height": 12, "width": 13}}, ["a"]),
    ("clip", "CLIP", {"size": {"shortest_edge": 12}, "crop_size": {"height": 12, "width": 12}}, ["a", "b", "gray", "alpha", "grayalpha"]),
    ("clip-old", "CLIP", {"feature_extractor_type": "CLIPFeatureExtractor", "size": 10, "crop_size": 9, "resample": 3, "do_center_crop": True, "do_normalize": True, "do_resize": True,
                          "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}, ["a", "large"]),
    ("bit", "Bit", {"size": {"shortest_edge": 14}, "crop_size": {"height": 10, "width": 10}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_convert_rgb": True}, ["b", "large"]),
    ("siglip", "Siglip", {"size": {"height": 11, "width": 11}, "do_convert_rgb": None}, ["a", "b"]),
    ("siglip-alpha", "Siglip", {"size": {"height": 9, "width": 11}, "resample": 1}, ["alpha", "gray"]),
    ("edges", "CLIP", {"size": {"shortest_edge": 9, "longest_edge": 13}, "do_center_crop": False}, ["large"]),
    ("edges-held", "CLIP", {"size": {"shortest_edge": 9, "longest_edge": 13}, "do_center_crop": False}, ["b"]),
    ("within", "ViT", {"size": {"max_height": 10, "max_width": 25}}, ["a"]),
    ("convnext", "ConvNext", {"size": {"shortest_edge": 10}, "crop_pct": 0.8}, ["a", "b"]),
]


def processor(name, config):
    module = importlib.import_module(f"transformers.models.{name.lower()}.image_processing_pil_{name.lower()}")
    return getattr(module, f"{name}ImageProcessorPil")(**{k: v for k, v in config.items() if not k.endswith("_type")})


def main(folder):
    os.makedirs(folder, exist_ok=True)
    tensors = {f"image.{k}": torch.from_numpy(v.copy()) for k, v in IMAGES.items()}
    resizes, processes = [], []
    for name, height, width in RESIZE:
        for filter in range(6):
            out = np.array(pil[name].resize((width, height), resample=filter))
            key = f"resize.{name}.{height}x{width}.{filter}"
            tensors[key] = torch.from_numpy(out.reshape(height, width, -1).copy())
            resizes.append({"key": key, "image": name, "height": height, "width": width, "resample": filter})
    for key, kind, config, names in PROCESS:
        out = processor(kind, config)(images=[pil[n] for n in names], return_tensors="pt")["pixel_values"]
        tensors[f"process.{key}"] = out.contiguous()
        types = {} if any(k.endswith("_type") for k in config) else {"image_processor_type": f"{kind}ImageProcessor"}
        processes.append({"key": f"process.{key}", "images": names, "config": types | config})
        print(key, list(out.shape), out.dtype)
    save_file(tensors, os.path.join(folder, "images.safetensors"))
    with open(os.path.join(folder, "cases.json"), "w") as f:
        json.dump({"pillow": Image.__version__, "transformers": transformers.__version__, "resize": resizes, "process": processes}, f, indent=1)


main(sys.argv[1])
