"""The pages over a project: started by name, `python -m esteira.web --root FOLDER`."""
