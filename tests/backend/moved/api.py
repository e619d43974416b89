"""A backend that keeps its documents in JSON files."""

import os

from flask import Flask, Response, jsonify, request

from oasis_data import JSONWriteError, load_data_file, save_json_atomic

Answer = Response | tuple[Response, int]

DATA = os.environ["DATA"]
DATA_TYPES = ("tanks", "vessels", "vessel_routes")

app = Flask(__name__)


def get_data_file_path(data_type: object) -> str | None:
    if data_type not in DATA_TYPES:
        return None
    return os.path.join(DATA, "dynamic_data", f"{data_type}.json")


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
        save_json_atomic(file_path, content)
    except JSONWriteError as e:
        return jsonify({"success": False, "error": str(e)}), 500
    return jsonify({"success": True, "message": f"{data_type} saved successfully"})
