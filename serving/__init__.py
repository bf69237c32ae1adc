"""The model server, a program: python -m serving --model_name NAME --model_dir DIR --http_port PORT."""
