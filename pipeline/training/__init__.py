"""What training needs: recipes, data and their cached vectors, the order of batches, tasks, the loop and its
record. `pipeline/train.py` puts them together.
"""
