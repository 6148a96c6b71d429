// Airflow has no place for plugins on the page of an asset. So it shows this component on every page, and on that of an
// asset it links to the dashboard's page of the table or mart. Airflow provides React and the other libraries.
const { createElement, useEffect, useState } = globalThis.React;

globalThis.AirflowPlugin = () => {
  const id = globalThis.ReactRouterDOM.useMatch("/assets/:id")?.params.id;
  const [asset, setAsset] = useState(null);
  useEffect(() => {
    let left = false;
    setAsset(null);
    if (id) {
      fetch(new URL(`api/v2/assets/${id}`, document.baseURI))
        .then((answer) => (answer.ok ? answer.json() : null))
        .then((found) => left || setAsset(found));
    }
    return () => {
      left = true;
    };
  }, [id]);
  if (!asset?.extra?.page) {
    return null;
  }
  const href = new URL(asset.extra.page, document.baseURI).href;
  const style = { alignSelf: "flex-start", color: "fg.info", href, mb: 2 };
  return createElement(globalThis.ChakraUI.Link, style, `AdventureWorks: ${asset.name}`);
};
