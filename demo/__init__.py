"""One data use, from registration to evidence, played through the gateway as each actor would."""
