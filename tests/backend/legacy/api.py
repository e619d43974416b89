"""A backend that keeps its documents in JSON files."""

import json
import os
from typing import Any

from flask import Flask, Response, jsonify, request

Answer = Response | tuple[Response, int]

DATA = os.environ["DATA"]
DATA_TYPES = ("tanks", "vessels", "vessel_routes")

app = Flask(__name__)
data_cache: dict[str, Any] = {}


def get_data_file_path(data_type: object) -> str | None:
    if data_type not in DATA_TYPES:
        return None
    return os.path.join(DATA, "dynamic_data", f"{data_type}.json")


def load_data_file(file_path: str) -> Any:
    if file_path in data_cache:
        return data_cache[file_path]
    try:
        with open(file_path) as f:
            data = json.load(f)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    data_cache[file_path] = data
    return data


@app.get("/api/data/<data_type>")
def get_data(data_type: str) -> Answer:
    file_path = get_data_file_path(data_type)
    if file_path is None:
        return jsonify({"success": False, "error": "Unknown type"}), 404
    return jsonify(load_data_file(file_path))


@app.post("/api/save-data")
def save_data() -> Answer:
    data = request.get_json()
    data_type = data.get("type")
    content = data.get("content")
    if not data_type or content is None:
        return jsonify({"success": False, "error": "Missing type or content"}), 400
    file_path = get_data_file_path(data_type)
    if file_path is None:
        return jsonify({"success": False, "error": "Unknown type"}), 400
    try:
        with open(file_path, "w") as f:
            json.dump(content, f, indent=2)
        data_cache.pop(file_path, None)
    except OSError as e:
        return jsonify({"success": False, "error": str(e)}), 500
    return jsonify({"success": True, "message": f"{data_type} saved successfully"})
