"""The models: a base that makes pictures, and what is added to it so that it paints."""
